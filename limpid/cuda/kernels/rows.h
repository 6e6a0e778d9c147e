#pragma once
// Ops on plain f32 rows: sums, softmax, picking, copying, resampling. None is hot; each is one thread or block a result.
#include <limpid/cuda/outside.h>

namespace limpid::cuda::kernels {

/// out[r] = sum of row r of x [rows, size], in f64, in a fixed order.
void sum_rows(Stream& stream, const float* x, float* out, std::int64_t rows, std::int64_t size);
void softmax(Stream& stream, const float* x, float* y, std::int64_t rows, std::int64_t size);
void softmax_backward(Stream& stream, const float* y, const float* dy, float* dx, std::int64_t rows, std::int64_t size);
/// Copies `width` elements from the start of each row to the start of each row of `to`; pitches in elements.
void copy_rows(Stream& stream, const float* from, std::int64_t from_pitch, float* to, std::int64_t to_pitch, std::int64_t width, std::int64_t rows);
/// [rows, points] -> [rows, channels, points] and back by summing.
void broadcast_channels(Stream& stream, const float* x, float* y, std::int64_t rows, std::int64_t channels, std::int64_t points);
void sum_channels(Stream& stream, const float* x, float* y, std::int64_t rows, std::int64_t channels, std::int64_t points);
/// out[r, point] = sum over c of weights[r, c] * x[r, point, c]; x: a picture; channels: not padded.
void channel_weighted_sum(Stream& stream, const float* weights, const void* x, DType type, float* out, std::int64_t rows, std::int64_t channels, std::int64_t points);
/// Planes [planes, in rows, in columns] -> [planes, out rows, out columns], and the transpose of that map.
struct Resampling {
  std::int64_t planes, in_rows, in_columns, out_rows, out_columns;
  Interpolation mode;
};
void interpolate(Stream& stream, const float* x, float* y, const Resampling& r);
/// dy [planes, out rows, out columns] -> dx [planes, in rows, in columns].
void interpolate_backward(Stream& stream, const float* dy, float* dx, const Resampling& r);

}  // namespace limpid::cuda::kernels
