// The two ops without a computation: inputs and constants; and the list of all ops.
#include <limpid/runtime/ops/common.h>

namespace limpid::ops {

const OpDef input{"input", nullptr};
const OpDef constant{"constant", nullptr};

std::span<const OpDef* const> all() {
  static const OpDef* const list[] = {&conv2d, &conv2d_backward_data, &batch_norm, &batch_norm_backward, &activation, &relu_mask, &activation_backward, &add, &sub, &mul, &scale, &abs,
    &max_pool, &max_pool_backward, &avg_pool, &avg_pool_backward, &global_avg_pool, &global_avg_pool_backward, &linear, &linear_backward, &linear_row, &linear_row_backward, &softmax, &softmax_backward,
    &reshape, &concat, &slice, &slice_backward, &broadcast_channels, &sum_channels, &select, &select_backward, &sum, &fill_like, &interpolate, &interpolate_backward,
    &path_points, &occlude_windows, &ablate_features, &patch, &weighted_sum, &collect, &scatter_windows, &scatter_features, &channel_weighted_sum};
  return list;
}

}  // namespace limpid::ops
