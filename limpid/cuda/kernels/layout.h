#pragma once
// Between a tensor's plain layout (f32, C order) and that of pictures (channels side by side, in multiples of 8, the rest zero).
#include <limpid/cuda/outside.h>

namespace limpid::cuda::kernels {

/// plain [images, channels, points] -> picture [images, points, padded channels] of `type`.
void to_picture(Stream& stream, const float* plain, void* picture, DType type, std::int64_t images, std::int64_t channels, std::int64_t points);
void to_plain(Stream& stream, const void* picture, DType type, float* plain, std::int64_t images, std::int64_t channels, std::int64_t points);
/// n elements, layout unchanged. One of the types is f32.
void change_type(Stream& stream, const void* from, DType from_type, void* to, DType to_type, std::int64_t n);

}  // namespace limpid::cuda::kernels
