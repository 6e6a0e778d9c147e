#pragma once
// Pooling of pictures, forward and backward.
#include <limpid/cuda/outside.h>

namespace limpid::cuda::kernels {

struct PoolShape {
  std::int64_t images, channels;  // channels: padded
  std::int64_t in_rows, in_columns, out_rows, out_columns;
  Axis vertical, horizontal;
  bool count_include_pad = true;  // average only
  std::int64_t taps() const { return vertical.kernel * horizontal.kernel; }
  /// Bits of one tap number; the highest number means that no tap gets the gradient.
  int tap_bits() const { return taps() < 16 ? 4 : 8; }
  std::int64_t tap_bytes() const { return images * out_rows * out_columns * channels * tap_bits() / 8; }
};

/// taps (may be null): which tap won, the first of equals; eight of one point side by side.
void max_pool(Stream& stream, const void* x, void* y, void* taps, DType type, const PoolShape& shape);
void max_pool_backward(Stream& stream, const void* taps, const void* dy, void* dx, DType type, const PoolShape& shape);
void avg_pool(Stream& stream, const void* x, void* y, DType type, const PoolShape& shape);
void avg_pool_backward(Stream& stream, const void* dy, void* dx, DType type, const PoolShape& shape);
/// picture -> f32 [images, channels] (channels: not padded).
void global_avg_pool(Stream& stream, const void* x, DType type, float* y, std::int64_t images, std::int64_t channels, std::int64_t points);
void global_avg_pool_backward(Stream& stream, const float* dy, void* dx, DType type, std::int64_t images, std::int64_t channels, std::int64_t points);

}  // namespace limpid::cuda::kernels
