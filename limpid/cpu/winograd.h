#pragma once
// Winograd's F(m x n, 3x3) (Lavin & Gray 2016), m and n of 2, 3 and 4, as matrix products over the tiles of all pictures together: the transforms around
// them. A quarter to 4/9 of the multiplications. Pictures in nChw16c, stride 1.
//
// An extent is cut into tiles of two neighbouring sizes (7 into 4 and 3), so that none reaches over the border. Smaller tiles use the first of the six
// points 0, 1, -1, infinity, 2, -2 of the largest and the same transformed weights; only the tiles that use a pair of points have a row in its product.
#include <limpid/cpu/epilogue.h>
#include <limpid/runtime/tensor.h>

#include <vector>

namespace limpid::cpu::winograd {

/// The tiles of an axis of `extent` results: `large` of `size`, then smaller ones by one.
struct Tiles {
  explicit Tiles(std::int64_t extent);
  std::int64_t extent, count, size, large;
  std::int64_t size_of(std::int64_t tile) const { return tile < large ? size : size - 1; }
  std::int64_t begin(std::int64_t tile) const { return tile * size - (tile > large ? tile - large : 0); }
  /// Tiles that use a point: the first ones.
  std::int64_t using_point(std::int64_t point) const { return point < size + 1 ? count : point < size + 2 ? large : 0; }
};

/// The products are numbered so that those of smaller tiles come first: 0 of points (0, 0); for each further point p (p, 0..p-1), (0..p-1, p), (p, p).
constexpr std::int64_t product_of(std::int64_t i, std::int64_t j) { return i < j ? j * j + j + i : i * i + j + (i == j ? i : 0); }
constexpr std::int64_t products = 36;

/// A convolution, or a gradient as one: `row_begin` and `column_begin` zeros before the picture, as many behind it as the results reach.
struct Plan {
  Plan(std::int64_t pictures, std::int64_t channels, std::int64_t in_rows, std::int64_t in_columns, std::int64_t outs, std::int64_t out_rows, std::int64_t out_columns, std::int64_t row_begin,
       std::int64_t column_begin);
  std::int64_t pictures, channels, in_rows, in_columns, outs, row_begin, column_begin;
  Tiles down, across;
  std::int64_t tiles[products];  // rows of each product's matrices; 0: not used
  std::int64_t first[products];  // rows before them
  std::int64_t all_tiles;
  /// Products [begin, end) of as many tiles each, which one batched product computes.
  struct Run { std::int64_t begin, end; };
  std::vector<Run> runs;
};

/// [outs, channels, 3, 3] -> [36, channels, outs]; turned: [channels, outs, 3, 3] of a convolution whose gradient this one is.
Tensor weights(const Tensor& w, bool turned);
/// x -> for each product [its tiles, channels]
void spread(const float* x, float* to, const Plan& plan);

/// for each product [its tiles, outs] -> y
void gather(const float* from, float* y, const Plan& plan, const Epilogue<float>& epilogue);

}  // namespace limpid::cpu::winograd
