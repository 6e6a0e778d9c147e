// The end of a classifier, where a formula is shorter than what autodiff appends. Of the logits one is read, so one row of the last matrix is enough:
//
//   select(linear(x, W, b), t) = dot(x, W[t]) + b[t],  and its gradient by x is W[t]
//
// whatever x is; and the mean of a gradient that global pooling has spread evenly is that gradient:
//
//   global_avg_pool(global_avg_pool_backward(v)) = v / (height * width)
//
// With both, Grad-CAM at the last block is a row of W, weighted channels, and no pass back (Selvaraju et al. 2017, section 3: there it is CAM).
#include <limpid/runtime/passes/passes.h>
#include <limpid/runtime/passes/rewrite.h>

namespace limpid::passes {

std::unique_ptr<Graph> closed_form(const Graph& graph, std::vector<int>& outputs) {
  Rewrite rewrite(graph, outputs);
  Graph& g = rewrite.target();
  std::vector<bool> whole(static_cast<std::size_t>(graph.value_count()), false);  // values that something else than a select reads
  for (int id : outputs) whole[static_cast<std::size_t>(id)] = true;
  for (const Node& n : graph.nodes())
    for (int id : n.inputs)
      if (id >= 0 && n.op != &ops::select) whole[static_cast<std::size_t>(id)] = true;

  const auto input = [&](const Node& n, int i) { return rewrite.mapped_input(n, i); };
  const auto rewritten = rewrite.run([&](const Node& n) -> Value {
    if (n.inputs.empty()) return {};
    const Node& before = graph.producer(n.inputs[0]);
    if (n.op == &ops::select && before.op == &ops::linear && !whole[static_cast<std::size_t>(n.inputs[0])])
      return linear_row(input(before, 0), input(before, 1), input(before, 2), input(n, 1));
    if (n.op == &ops::linear_backward && before.op == &ops::select_backward) return g.append(ops::linear_row_backward, {input(before, 0), input(n, 1), input(before, 1)});
    if (n.op == &ops::global_avg_pool && before.op == &ops::global_avg_pool_backward) {
      const Shape& s = graph.value(n.inputs[0]).shape;
      return scale(input(before, 0), 1 / static_cast<double>(s[1] * s[2]));
    }
    return {};
  });
  return eliminate_dead(*rewritten, outputs);  // what the rewrite left behind
}

}  // namespace limpid::passes
