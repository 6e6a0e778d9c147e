#pragma once
// Winograd's F(4x4, 3x3) (Lavin & Gray 2016) as 36 matrix products over the tiles of all pictures together: the transforms around them. A quarter of the
// multiplications. Pictures in nChw16c, padding 1, stride 1.
#include <limpid/runtime/functors.h>
#include <limpid/runtime/tensor.h>

namespace limpid::cpu::winograd {

struct Sizes {
  std::int64_t pictures, channels, rows, columns, outs;
  std::int64_t tile_rows() const { return (rows + 3) / 4; }
  std::int64_t tile_columns() const { return (columns + 3) / 4; }
  std::int64_t tiles() const { return pictures * tile_rows() * tile_columns(); }
};

/// [outs, channels, 3, 3] -> [36, channels, outs]; turned: [channels, outs, 3, 3] of a convolution whose gradient this one is.
Tensor weights(const Tensor& w, bool turned);
/// x -> [36, tiles, channels]
void spread(const float* x, float* to, const Sizes& sizes);

/// What follows a sum: + bias, + addend, then an activation or its reverse. Null: nothing.
struct Epilogue {
  const float* bias = nullptr;
  const float* addend = nullptr;       // may be y
  Activation activation = Activation::none;
  const float* unit = nullptr;         // the output of the activation whose backward rule is applied,
  const std::uint8_t* mask = nullptr;  // or a bit an element: whether it is active
  Activation unit_kind = Activation::relu;
  ReluRule rule = ReluRule::plain;
};
/// [36, tiles, outs] -> y
void gather(const float* from, float* y, const Sizes& sizes, const Epilogue& epilogue);

}  // namespace limpid::cpu::winograd
