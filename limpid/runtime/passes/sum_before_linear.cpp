// weighted_sum(f(x)) = f(weighted_sum(x)) for a linear f: the transposed convolution at the end of a sweep runs once per sample instead of
// once per point. The way back of hoist_linear.
#include <limpid/runtime/passes/linear.h>
#include <limpid/runtime/passes/passes.h>
#include <limpid/runtime/passes/rewrite.h>

namespace limpid::passes {
namespace {

class SumFirst {
 public:
  explicit SumFirst(Rewrite& rewrite) : rewrite_(rewrite), graph_(rewrite.source()) {}

  /// The weighted sum of value `id`, with the linear ops that made it behind the sum.
  Value operator()(int id, Value weights) {
    if (!can_follow(id)) return rewrite_.target().append(ops::weighted_sum, {rewrite_.mapped(id), weights});
    const Node& producer = graph_.producer(id);
    std::vector<Value> inputs;
    for (int in : producer.inputs) inputs.push_back(in >= 0 && graph_.value(in).rows == Rows::sweep ? (*this)(in, weights) : rewrite_.mapped(in));
    return rewrite_.target().append(*producer.op, inputs, producer.attributes);
  }

 private:
  /// Whether the op that makes the value may, and should, come behind the sum.
  bool can_follow(int id) const {
    const Node& n = graph_.producer(id);
    if (rewrite_.uses(id) != 1 || !is_linear(n)) return false;
    std::int64_t summed = 0;
    int sweeps = 0;
    for (int in : n.inputs)
      if (in >= 0 && graph_.value(in).rows == Rows::sweep) {
        summed += graph_.value(in).shape.numel();
        ++sweeps;
      }
    if (sweeps > 1)  // two sums instead of one: only where each saves an op of its own
      return std::all_of(n.inputs.begin(), n.inputs.end(), [&](int in) { return in >= 0 && graph_.value(in).rows == Rows::sweep && can_follow(in); });
    const bool product = n.op == &ops::conv2d || n.op == &ops::conv2d_backward_data || n.op == &ops::linear || n.op == &ops::linear_backward;
    return sweeps == 1 && (product || summed <= graph_.value(id).shape.numel());  // a cheap op that shrinks its input is better done first
  }

  Rewrite& rewrite_;
  const Graph& graph_;
};

}  // namespace

std::unique_ptr<Graph> sum_before_linear(const Graph& graph, std::vector<int>& outputs) {
  Rewrite rewrite(graph, outputs);
  SumFirst sum(rewrite);
  const auto rewritten = rewrite.run([&](const Node& n) { return n.op == &ops::weighted_sum ? sum(n.inputs[0], rewrite.mapped_input(n, 1)) : Value{}; });
  return eliminate_dead(*rewritten, outputs);
}

}  // namespace limpid::passes
