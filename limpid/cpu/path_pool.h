#pragma once
// Kernels for the start of a hoisted network: points of a path, their ReLU and max pooling in one, and the way back from the pooled gradient to the
// sum over the path. Both read and write what is of the points' size (the two ends; the sums) once for all rows of a pass.
#include <limpid/runtime/dtype.h>
#include <limpid/runtime/functors.h>

namespace limpid::cpu::kernels {

/// Pictures of blocks of `width` channels side by side, and the rows of a sweep.
struct PathPool {
  std::int64_t blocks, width, in_rows, in_columns, out_rows, out_columns;
  Axis rows, columns;
  Activation activation;
  std::int64_t sweep, samples, chunk;

  /// The tap of a window whose maximum is not an active unit: no gradient passes.
  static constexpr int none = 255;
  /// Whether the kernels take blocks of that width.
  static bool takes(std::int64_t width) { return width % 8 == 0; }
  std::int64_t in_size() const { return blocks * in_rows * in_columns * width; }
  std::int64_t out_size() const { return blocks * out_rows * out_columns * width; }
};

/// y[r] = the maximum over windows of activation(b + alpha (x - b)), for rows r of the pass, and which tap gave it, the first of equals. b, x: one
/// picture a sample, f32; y: bf16 if `narrow` (the points are not rounded, so that the taps are those of f32); taps: one byte an element, or null.
void path_pool(const PathPool& shape, const float* b, const float* x, const double* nodes, std::int64_t first_row, void* y, std::uint8_t* taps, bool narrow);

/// sums[sample] += weights[s] * (the gradient of the points for dy), over the `rows` valid rows of the pass, in row order. `more`: a second gradient to
/// add to dy, or null.
void path_pool_backward(const PathPool& shape, const std::uint8_t* taps, const void* dy, const void* more, bool narrow, const double* weights, std::int64_t first_row, std::int64_t rows, float* sums);

}  // namespace limpid::cpu::kernels
