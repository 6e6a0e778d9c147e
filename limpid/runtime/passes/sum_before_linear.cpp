// weighted_sum(f(x)) = f(weighted_sum(x)) for a linear f: the transposed convolution at the end of a sweep runs once per sample instead of
// once per point. The first step of hoisting linear prefixes out of sweeps.
#include <limpid/runtime/passes/passes.h>
#include <limpid/runtime/passes/rewrite.h>

namespace limpid::passes {
namespace {

bool is_linear(const OpDef* op) { return op == &ops::conv2d_backward_data || op == &ops::batch_norm_backward; }

/// The weighted sum of input `i` of `node`, with the linear ops that made that input behind the sum.
Value summed(Rewrite& rewrite, const Node& node, int i, Value weights) {
  const int id = node.inputs[static_cast<std::size_t>(i)];
  const Node& producer = rewrite.source().producer(id);
  if (rewrite.uses(id) != 1 || !is_linear(producer.op)) return rewrite.target().append(ops::weighted_sum, {rewrite.mapped(id), weights});
  std::vector<Value> inputs{summed(rewrite, producer, 0, weights)};
  for (int k = 1; k < static_cast<int>(producer.inputs.size()); ++k) inputs.push_back(rewrite.mapped_input(producer, k));
  return rewrite.target().append(*producer.op, inputs, producer.attributes);
}

}  // namespace

std::unique_ptr<Graph> sum_before_linear(const Graph& graph, std::vector<int>& outputs) {
  Rewrite rewrite(graph, outputs);
  const auto rewritten = rewrite.run([&](const Node& n) { return n.op == &ops::weighted_sum ? summed(rewrite, n, 0, rewrite.mapped_input(n, 1)) : Value{}; });
  return eliminate_dead(*rewritten, outputs);
}

}  // namespace limpid::passes
