#include <limpid/cpu/winograd.h>
#include <limpid/runtime/clones.h>
#include <limpid/runtime/parallel.h>

#include <cstring>

namespace limpid::cpu::winograd {
namespace {

constexpr std::int64_t width = 16;  // channels of a block
using Vector = float __attribute__((vector_size(width * sizeof(float)), aligned(sizeof(float)), may_alias));

inline __attribute__((always_inline)) void load(Vector& v, const float* from) { std::memcpy(&v, from, sizeof v); }
inline __attribute__((always_inline)) void store(float* to, const Vector& v) { std::memcpy(to, &v, sizeof v); }

/// B^T d, of six vectors `step` apart.
inline __attribute__((always_inline)) void spread_line(Vector* d, int step) {
  const Vector d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
  const Vector even = d4 - 4 * d2, odd = d3 - 4 * d1, far = d4 - d2, near = 2 * (d3 - d1);
  d[0] = 4 * d0 - 5 * d2 + d4;
  d[step] = even + odd;
  d[2 * step] = even - odd;
  d[3 * step] = far + near;
  d[4 * step] = far - near;
  d[5 * step] = 4 * d1 - 5 * d3 + d5;
}

/// A^T m, the four results in the places of the first.
inline __attribute__((always_inline)) void gather_line(Vector* m, int step) {
  const Vector m0 = m[0], sum = m[step] + m[2 * step], difference = m[step] - m[2 * step], far_sum = m[3 * step] + m[4 * step], far_difference = m[3 * step] - m[4 * step], m5 = m[5 * step];
  m[0] = m0 + sum + far_sum;
  m[step] = difference + 2 * far_difference;
  m[2 * step] = sum + 4 * far_sum;
  m[3 * step] = difference + 8 * far_difference + m5;
}

/// A row of tiles of one picture and block of channels. x: the block's plane.
LIMPID_CLONES void spread_row(const float* x, float* to, std::int64_t rows, std::int64_t columns, std::int64_t tile_row, std::int64_t tile_columns, std::int64_t pitch, std::int64_t product) {
  for (std::int64_t tile = 0; tile < tile_columns; ++tile, to += pitch) {
    Vector d[36];
    for (std::int64_t i = 0; i < 6; ++i)
      for (std::int64_t j = 0; j < 6; ++j) {
        const std::int64_t row = 4 * tile_row + i - 1, column = 4 * tile + j - 1;
        if (row >= 0 && row < rows && column >= 0 && column < columns) load(d[i * 6 + j], x + (row * columns + column) * width);
        else d[i * 6 + j] = Vector{};
      }
    for (int i = 0; i < 6; ++i) spread_line(d + 6 * i, 1);
    for (int j = 0; j < 6; ++j) spread_line(d + j, 6);
    for (std::int64_t k = 0; k < 36; ++k) store(to + k * product, d[k]);
  }
}

inline __attribute__((always_inline)) void finish(float* v, std::int64_t at, std::int64_t out, float* y, const Epilogue& e) {
  if (e.bias) for (std::int64_t c = 0; c < width; ++c) v[c] += e.bias[out + c];
  if (e.addend) for (std::int64_t c = 0; c < width; ++c) v[c] += e.addend[at + c];
  if (e.activation != Activation::none) for (std::int64_t c = 0; c < width; ++c) v[c] = activate(v[c], e.activation);
  if (e.mask) {
    std::uint16_t bits;
    std::memcpy(&bits, e.mask + at / 8, sizeof bits);
    for (std::int64_t c = 0; c < width; ++c) v[c] = activate_backward(static_cast<float>(bits >> c & 1), v[c], Activation::relu, e.rule);
  } else if (e.unit && e.rule == ReluRule::plain && e.unit_kind == Activation::relu) {
    for (std::int64_t c = 0; c < width; ++c) v[c] = e.unit[at + c] > 0 ? v[c] : 0.f;
  } else if (e.unit) {
    for (std::int64_t c = 0; c < width; ++c) v[c] = activate_backward(e.unit[at + c], v[c], e.unit_kind, e.rule);
  }
  std::memcpy(y + at, v, width * sizeof(float));
}

LIMPID_CLONES void gather_row(const float* from, float* y, std::int64_t plane, std::int64_t rows, std::int64_t columns, std::int64_t tile_row, std::int64_t tile_columns, std::int64_t pitch,
                              std::int64_t product, std::int64_t out, const Epilogue& e) {
  for (std::int64_t tile = 0; tile < tile_columns; ++tile, from += pitch) {
    Vector m[36];
    for (std::int64_t k = 0; k < 36; ++k) load(m[k], from + k * product);
    for (int j = 0; j < 6; ++j) gather_line(m + j, 6);
    for (int i = 0; i < 4; ++i) gather_line(m + 6 * i, 1);
    for (std::int64_t i = 0; i < 4 && 4 * tile_row + i < rows; ++i)
      for (std::int64_t j = 0; j < 4 && 4 * tile + j < columns; ++j)
        finish(reinterpret_cast<float*>(m + 6 * i + j), plane + ((4 * tile_row + i) * columns + 4 * tile + j) * width, out, y, e);
  }
}

}  // namespace

Tensor weights(const Tensor& w, bool turned) {
  const std::int64_t outs = w.shape()[turned ? 1 : 0], channels = w.shape()[turned ? 0 : 1];
  constexpr double g[6][3] = {{1. / 4, 0, 0}, {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6}, {1. / 24, 1. / 12, 1. / 6}, {1. / 24, -1. / 12, 1. / 6}, {0, 0, 1}};
  Tensor result(Shape{36, channels, outs});
  const float* in = w.data<float>();
  float* to = result.data<float>();
  parallel_for(channels, [&](std::int64_t c) {
    for (std::int64_t o = 0; o < outs; ++o) {
      const float* from = in + (turned ? c * outs + o : o * channels + c) * 9;
      double half[6][3];
      for (int i = 0; i < 6; ++i)
        for (int x = 0; x < 3; ++x) {
          half[i][x] = 0;
          for (int y = 0; y < 3; ++y) half[i][x] += g[i][y] * static_cast<double>(from[turned ? 8 - (3 * y + x) : 3 * y + x]);
        }
      for (int i = 0; i < 6; ++i)
        for (int j = 0; j < 6; ++j)
          to[((i * 6 + j) * channels + c) * outs + o] = static_cast<float>(half[i][0] * g[j][0] + half[i][1] * g[j][1] + half[i][2] * g[j][2]);
    }
  });
  return result;
}

void spread(const float* x, float* to, const Sizes& s) {
  const std::int64_t blocks = s.channels / width, down = s.tile_rows(), across = s.tile_columns();
  parallel_for(s.pictures * down * blocks, [&](std::int64_t item) {
    const std::int64_t block = item % blocks, row = item / blocks % down, picture = item / blocks / down;
    spread_row(x + (picture * blocks + block) * s.rows * s.columns * width, to + (picture * down + row) * across * s.channels + block * width, s.rows, s.columns, row, across, s.channels,
               s.tiles() * s.channels);
  });
}

void gather(const float* from, float* y, const Sizes& s, const Epilogue& e) {
  const std::int64_t blocks = s.outs / width, down = s.tile_rows(), across = s.tile_columns();
  parallel_for(s.pictures * down * blocks, [&](std::int64_t item) {
    const std::int64_t block = item % blocks, row = item / blocks % down, picture = item / blocks / down;
    gather_row(from + (picture * down + row) * across * s.outs + block * width, y, (picture * blocks + block) * s.rows * s.columns * width, s.rows, s.columns, row, across, s.outs,
               s.tiles() * s.outs, block * width, e);
  });
}

}  // namespace limpid::cpu::winograd
