#pragma once
// Ops that go over elements one by one, in whatever layout their operands share. n counts elements, padding included.
#include <limpid/cuda/outside.h>

namespace limpid::cuda::kernels {

enum class Binary { add, sub, mul };
void binary(Stream& stream, Binary op, const void* a, const void* b, void* out, DType type, std::int64_t n);
void scale(Stream& stream, const void* x, float factor, void* y, DType type, std::int64_t n);
void absolute(Stream& stream, const void* x, void* y, DType type, std::int64_t n);
void fill(Stream& stream, float value, float* y, std::int64_t n);

void activation(Stream& stream, const void* x, void* y, DType type, Activation kind, std::int64_t n);
/// Bit i of byte j: whether the unit with output y[8j + i] is active. (n + 7) / 8 bytes.
void relu_mask(Stream& stream, const void* y, DType type, Activation kind, std::uint8_t* mask, std::int64_t n);
/// dx = what passes of dy (+ more, unless null). Which units are active comes from `mask`, or from the outputs y when it is null.
void activation_backward(Stream& stream, const void* y, const std::uint8_t* mask, const void* dy, const void* more, void* dx, DType type, Activation kind, ReluRule rule, std::int64_t n);

/// Where a channel's elements lie: side by side (pictures, padded) or plane by plane (plain).
struct Channels {
  std::int64_t count, points;
  bool side_by_side;
};
/// (x - mean) * weight / sqrt(var + epsilon) + bias; with mean and bias null only the factor, as the gradient needs. Padding stays zero.
void batch_norm(Stream& stream, const void* x, void* y, DType type, const Channels& channels, const float* weight, const float* bias, const float* mean, const float* var, double epsilon, std::int64_t n);
/// y [rows, size] += bias [size], f32.
void add_bias(Stream& stream, float* y, const float* bias, std::int64_t rows, std::int64_t size);

}  // namespace limpid::cuda::kernels
