#pragma once
// Which nodes are affine, and which linear, in all of their real inputs that vary from row to row together; weights are constants.
#include <limpid/runtime/ops.h>

#include <algorithm>

namespace limpid::passes {

inline bool is_affine(const Node& n) {
  if (n.op == &ops::conv2d) return n.as<Conv2dAttributes>().activation == Activation::none;
  static const OpDef* const affine[] = {&ops::conv2d_backward_data, &ops::batch_norm, &ops::batch_norm_backward, &ops::add, &ops::sub, &ops::scale, &ops::avg_pool, &ops::avg_pool_backward,
    &ops::global_avg_pool, &ops::global_avg_pool_backward, &ops::linear, &ops::linear_backward, &ops::linear_row, &ops::linear_row_backward, &ops::reshape, &ops::concat, &ops::slice, &ops::slice_backward, &ops::broadcast_channels,
    &ops::sum_channels, &ops::select, &ops::select_backward, &ops::sum, &ops::interpolate, &ops::interpolate_backward};
  return std::find(std::begin(affine), std::end(affine), n.op) != std::end(affine);
}

inline bool is_linear(const Node& n) {
  const bool shifts = n.op == &ops::batch_norm || ((n.op == &ops::conv2d || n.op == &ops::linear || n.op == &ops::linear_row) && n.has_input(2));
  return is_affine(n) && !shifts;
}

}  // namespace limpid::passes
