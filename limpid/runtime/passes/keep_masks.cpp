// A ReLU's backward op needs one bit an element, so it gets a mask in the place of the output, which then dies as soon as the forward pass has read it.
#include <limpid/runtime/passes/passes.h>
#include <limpid/runtime/passes/rewrite.h>

#include <set>

namespace limpid::passes {
namespace {

bool needs_output(const Graph& graph, const Node& n) {
  return n.op == &ops::activation_backward && n.as<ActivationAttributes>().rule != ReluRule::deconvolution && graph.value(n.inputs[0]).kind == Kind::real;
}

}  // namespace

std::unique_ptr<Graph> keep_masks(const Graph& graph, std::vector<int>& outputs) {
  std::set<std::pair<int, Activation>> wanted;  // whose mask, and what its ReLU was
  for (const Node& n : graph.nodes())
    if (needs_output(graph, n) && graph.producer(n.inputs[0]).outputs.size() == 1 && graph.producer(n.inputs[0]).op != &ops::input) wanted.emplace(n.inputs[0], n.as<ActivationAttributes>().activation);

  Rewrite rewrite(graph, outputs);
  std::map<std::pair<int, Activation>, Value> masks;
  const auto rewritten = rewrite.run([&](const Node& n) -> Value {
    if (n.op == &ops::activation_backward) {
      const auto mask = masks.find({n.inputs[0], n.as<ActivationAttributes>().activation});
      const bool blind = n.as<ActivationAttributes>().rule == ReluRule::deconvolution;  // to what the unit did: nothing need be kept
      if (!blind && mask == masks.end()) return {};
      return rewrite.target().append(ops::activation_backward, {blind ? rewrite.mapped_input(n, 1) : mask->second, rewrite.mapped_input(n, 1), rewrite.mapped_input(n, 2)}, n.attributes);
    }
    const auto first = wanted.lower_bound({n.outputs[0], Activation::none});
    if (first == wanted.end() || first->first != n.outputs[0]) return {};
    const Value y = rewrite.copy(n);
    for (auto it = first; it != wanted.end() && it->first == n.outputs[0]; ++it) masks[*it] = relu_mask(y, it->second);
    return y;
  });
  return eliminate_dead(*rewritten, outputs);
}

}  // namespace limpid::passes
