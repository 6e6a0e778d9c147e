#include <limpid/runtime/passes/passes.h>
#include <limpid/runtime/passes/rewrite.h>

namespace limpid::passes {

std::unique_ptr<Graph> eliminate_dead(const Graph& graph, std::vector<int>& outputs) {
  return Rewrite(graph, outputs).run([](const Node&) { return Value{}; });
}

std::unique_ptr<Graph> run_all(const Graph& graph, std::vector<int>& outputs, const PassOptions& options, DType dtype) {
  auto result = eliminate_dead(graph, outputs);
  if (options.fold_batch_norm) result = fold_batch_norm(*result, outputs, dtype);
  if (options.closed_form) result = closed_form(*result, outputs);
  if (options.hoist_linear) result = hoist_linear(*result, outputs);  // before a ReLU sticks to the convolution
  if (options.fuse_convolution) result = fuse_convolution(*result, outputs);
  if (options.crop_windows) result = crop_windows(*result, outputs);
  if (options.fuse_relu_backward) result = fuse_relu_backward(*result, outputs);
  if (options.keep_masks) result = keep_masks(*result, outputs);
  if (options.sum_before_linear) result = sum_before_linear(*result, outputs);
  return result;
}

}  // namespace limpid::passes
