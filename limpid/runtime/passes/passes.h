#pragma once
// Rewrites of a graph that leave its answers as they are, up to rounding. Each can be switched off.
#include <limpid/runtime/graph.h>

namespace limpid {

struct PassOptions {
  bool fold_batch_norm = true;     // batch norms behind a convolution become part of its weights, forward and backward
  bool closed_form = true;         // of the classifier only the target's row is computed, and its gradient is a row of the weights
  bool hoist_linear = true;        // affine ops on the points of a path run on its two ends, once per sample
  bool fuse_convolution = true;    // convolution + addend + ReLU become one node
  bool fuse_relu_backward = true;  // the sum of two gradients is formed inside the ReLU's backward op, and that op where the last of them is made
  bool keep_masks = true;          // a ReLU's backward op reads a mask of one bit an element instead of the output
  bool sum_before_linear = true;   // a sweep's gradients are summed before the linear ops at its end, not behind them
  bool crop_windows = true;        // behind an occlusion window only what it can reach is computed again
  bool plan_memory = true;         // buffers share one slab where their lifetimes allow; off: each has its own
};

namespace passes {

/// Each takes a graph and the value ids to keep, and returns a new graph without dead nodes; `outputs` then holds the new ids.
std::unique_ptr<Graph> eliminate_dead(const Graph& graph, std::vector<int>& outputs);
/// `dtype` (f32 or f64): what the folded weights are rounded to.
std::unique_ptr<Graph> fold_batch_norm(const Graph& graph, std::vector<int>& outputs, DType dtype);
std::unique_ptr<Graph> closed_form(const Graph& graph, std::vector<int>& outputs);
std::unique_ptr<Graph> hoist_linear(const Graph& graph, std::vector<int>& outputs);
std::unique_ptr<Graph> fuse_convolution(const Graph& graph, std::vector<int>& outputs);
std::unique_ptr<Graph> fuse_relu_backward(const Graph& graph, std::vector<int>& outputs);
std::unique_ptr<Graph> keep_masks(const Graph& graph, std::vector<int>& outputs);
std::unique_ptr<Graph> sum_before_linear(const Graph& graph, std::vector<int>& outputs);
std::unique_ptr<Graph> crop_windows(const Graph& graph, std::vector<int>& outputs);

/// All that are switched on, in order.
std::unique_ptr<Graph> run_all(const Graph& graph, std::vector<int>& outputs, const PassOptions& options, DType dtype);

}  // namespace passes
}  // namespace limpid
