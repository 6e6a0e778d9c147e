#pragma once
// Elementwise loops on raw memory, in whatever layout both sides share; `narrow`: bf16 instead of f32. All are parallel and bound by
// memory: each reads its inputs and writes its output once.
#include <limpid/runtime/dtype.h>
#include <limpid/runtime/functors.h>

namespace limpid::cpu::kernels {

enum class Binary { add, sub, mul };

void activation(const void* x, void* y, bool narrow, std::int64_t n, Activation kind);
/// dx may be dy. `more` (or null) is added to dy first.
void activation_backward(const void* y, const void* dy, const void* more, void* dx, bool narrow, std::int64_t n, Activation kind, ReluRule rule);
/// Bit i of byte j: whether the unit with output y[8j + i] is active; (n + 7) / 8 bytes.
void relu_mask(const void* y, std::uint8_t* mask, bool narrow, std::int64_t n, Activation kind);
/// activation_backward with the mask in the place of y.
void masked_backward(const std::uint8_t* mask, const void* dy, const void* more, void* dx, bool narrow, std::int64_t n, ReluRule rule);
void binary(Binary op, const float* a, const float* b, float* out, std::int64_t n);
/// out = a + b; out may be a.
void add(const void* a, const void* b, void* out, bool narrow, std::int64_t n);
void scale(const float* x, float* y, std::int64_t n, float factor);
/// The sum of a[i] * b[i], in one thread.
float dot(const float* a, const float* b, std::int64_t n);
void absolute(const float* x, float* y, std::int64_t n);
/// total += weight * x
void accumulate(float* total, const void* x, bool narrow, std::int64_t n, float weight);

/// out = activation(b + alpha * (x - b))
void path_point(const float* b, const float* x, void* out, bool narrow, std::int64_t n, float alpha, Activation kind);
/// A rectangle of a picture.
struct Rectangle { std::int64_t top, left, rows, columns; };
/// A line of the picture x, with window number `window` of the grid taken from b: row `row` of a channel, `count` columns from `left` on. x and b: the
/// planes of that channel.
void occlude_line(const float* x, const float* b, void* out, bool narrow, const WindowGrid& grid, const WindowGrid::Place& window, std::int64_t channel, std::int64_t row, std::int64_t left, std::int64_t count);
/// n elements of x, with those whose group is `feature` taken from b.
void ablate_line(const float* x, const float* b, const std::int64_t* groups, void* out, bool narrow, std::int64_t n, std::int64_t feature);

/// One line of a patch (ops::patch) in a layout of `block` channels side by side: row `to.top` of the picture, from column to.left on.
/// crop and full: the channels' planes; `outside` goes to the first `channels` of each block.
void patch_line(const void* crop, const void* full, void* out, bool narrow, std::int64_t rows, std::int64_t columns, const Rectangle& from, const Rectangle& to, std::int64_t block,
                std::int64_t channels, float outside);

/// The points of a stride, side by side as channels of a coarse grid, to their places: fine[r][c][y][x] = coarse[r][y/s][x/s][(c*s + y%s)*s + x%s].
/// The coarse channels lie in blocks of `block`.
struct Interleave { std::int64_t rows, channels, fine_rows, fine_columns, stride, coarse_rows, coarse_columns, block; };
void interleave(const void* coarse, void* fine, bool narrow, const Interleave& shape);

/// Means over `points` for each channel, and the reverse; `block` channels lie side by side (1: nchw, C: nhwc). Padding channels become zero.
void global_average(const void* x, bool narrow, float* means, std::int64_t rows, std::int64_t channels, std::int64_t points, std::int64_t block);
void spread_average(const float* dy, void* dx, bool narrow, std::int64_t rows, std::int64_t channels, std::int64_t points, std::int64_t block);

}  // namespace limpid::cpu::kernels
