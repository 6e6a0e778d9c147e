#include <limpid/cpu/winograd.h>
#include <limpid/runtime/clones.h>
#include <limpid/runtime/parallel.h>

#include <algorithm>
#include <cstring>

namespace limpid::cpu::winograd {
namespace {

constexpr std::int64_t width = 16;  // channels of a block
using Vector = float __attribute__((vector_size(width * sizeof(float)), aligned(sizeof(float)), may_alias));

inline __attribute__((always_inline)) void load(Vector& v, const float* from) { std::memcpy(&v, from, sizeof v); }
inline __attribute__((always_inline)) void store(float* to, const Vector& v) { std::memcpy(to, &v, sizeof v); }

/// B^T d of a tile of `size`, of size + 2 vectors `step` apart; in the order of the points. The rows of M(x)/(x - p) of the smaller tiles are scaled to
/// the weights of the largest: by p + 2 for 3, by p^2 - 4 for 2.
template <int size>
inline __attribute__((always_inline)) void spread_line(Vector* d, int step) {
  const Vector d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step];
  if constexpr (size == 4) {
    const Vector d4 = d[4 * step], d5 = d[5 * step], even = d4 - 4 * d2, odd = d3 - 4 * d1, far = d4 - d2, near = 2 * (d3 - d1);
    d[0] = 4 * d0 - 5 * d2 + d4;
    d[step] = even + odd;
    d[2 * step] = even - odd;
    d[3 * step] = 4 * d1 - 5 * d3 + d5;
    d[4 * step] = far + near;
    d[5 * step] = far - near;
  } else if constexpr (size == 3) {
    const Vector d4 = d[4 * step];
    d[0] = 4 * (d0 - d2) - 2 * (d1 - d3);
    d[step] = 3 * (d3 - d2 - 2 * d1);
    d[2 * step] = 2 * d1 - 3 * d2 + d3;
    d[3 * step] = 2 * (d1 - d3) - d2 + d4;
    d[4 * step] = 4 * (d3 - d1);
  } else {
    d[0] = 4 * (d0 - d2);
    d[step] = -3 * (d1 + d2);
    d[2 * step] = 3 * (d1 - d2);
    d[3 * step] = d3 - d1;
  }
}

/// A^T m, the results in the places of the first.
template <int size>
inline __attribute__((always_inline)) void gather_line(Vector* m, int step) {
  const Vector m0 = m[0], sum = m[step] + m[2 * step], difference = m[step] - m[2 * step], last = m[3 * step];
  if constexpr (size == 4) {
    const Vector far_sum = m[4 * step] + m[5 * step], far_difference = m[4 * step] - m[5 * step];
    m[0] = m0 + sum + far_sum;
    m[step] = difference + 2 * far_difference;
    m[2 * step] = sum + 4 * far_sum;
    m[3 * step] = difference + 8 * far_difference + last;
  } else if constexpr (size == 3) {
    const Vector far = m[4 * step];
    m[0] = m0 + sum + far;
    m[step] = difference + 2 * far;
    m[2 * step] = sum + 4 * far + last;
  } else {
    m[0] = m0 + sum;
    m[step] = difference + last;
  }
}

/// f.template operator()<rows, columns>() for a tile's sizes.
template <class F>
inline __attribute__((always_inline)) void for_size(std::int64_t rows, std::int64_t columns, F f) {
  switch (rows * 8 + columns) {
    case 8 * 2 + 2: return f.template operator()<2, 2>();
    case 8 * 2 + 3: return f.template operator()<2, 3>();
    case 8 * 2 + 4: return f.template operator()<2, 4>();
    case 8 * 3 + 2: return f.template operator()<3, 2>();
    case 8 * 3 + 3: return f.template operator()<3, 3>();
    case 8 * 3 + 4: return f.template operator()<3, 4>();
    case 8 * 4 + 2: return f.template operator()<4, 2>();
    case 8 * 4 + 3: return f.template operator()<4, 3>();
    default: return f.template operator()<4, 4>();
  }
}

/// Where the tiles of a row of them lie in each product, and how far apart the products' rows are.
struct TileRow {
  TileRow(const Plan& p, std::int64_t picture, std::int64_t row) {
    for (std::int64_t i = 0; i < 6; ++i)
      for (std::int64_t j = 0; j < 6; ++j) first[i * 6 + j] = p.first[product_of(i, j)] + (picture * p.down.using_point(i) + row) * p.across.using_point(j);
  }
  std::int64_t first[36];  // by points, of tile 0
};

/// A row of tiles of one picture and block of channels. x: the block's plane.
LIMPID_CLONES void spread_row(const float* x, float* to, const Plan& p, const TileRow& at, std::int64_t row) {
  const std::int64_t top = p.down.begin(row) - p.row_begin;
  for (std::int64_t tile = 0; tile < p.across.count; ++tile) {
    const std::int64_t left = p.across.begin(tile) - p.column_begin;
    for_size(p.down.size_of(row), p.across.size_of(tile), [&]<int tile_rows, int tile_columns>() __attribute__((always_inline)) {
      constexpr int rows = tile_rows + 2, columns = tile_columns + 2;
      Vector d[rows * columns];
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < columns; ++j) {
          const std::int64_t y = top + i, x_at = left + j;
          if (y >= 0 && y < p.in_rows && x_at >= 0 && x_at < p.in_columns) load(d[i * columns + j], x + (y * p.in_columns + x_at) * width);
          else d[i * columns + j] = Vector{};
        }
      for (int i = 0; i < rows; ++i) spread_line<tile_columns>(d + columns * i, 1);
      for (int j = 0; j < columns; ++j) spread_line<tile_rows>(d + j, columns);
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < columns; ++j) store(to + (at.first[i * 6 + j] + tile) * p.channels, d[i * columns + j]);
    });
  }
}

using Lanes = std::int32_t __attribute__((vector_size(width * sizeof(std::int32_t))));
constexpr Lanes lane_bits = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};

inline __attribute__((always_inline)) void finish(Vector v, std::int64_t at, const Vector& bias, float* y, const Epilogue<float>& e) {
  const Vector zero{};
  Vector other;
  v += bias;
  if (e.addend) load(other, e.addend + at), v += other;
  if (e.activation != Activation::none) v = v <= zero ? zero : v;  // NaN stays
  if (e.activation == Activation::relu6) v = v > 6.f ? zero + 6.f : v;
  if (e.mask || e.unit) {
    Lanes pass{};
    if (e.rule == ReluRule::deconvolution) {
      pass = ~pass;
    } else if (e.mask) {
      std::uint16_t bits;
      std::memcpy(&bits, e.mask + at / 8, sizeof bits);
      pass = ((pass + bits) & lane_bits) != 0;
    } else {
      load(other, e.unit + at);
      pass = other > zero;
      if (e.unit_kind == Activation::relu6) pass &= other < 6.f;
    }
    if (e.rule != ReluRule::plain) pass &= v > zero;
    v = pass ? v : zero;
  }
  store(y + at, v);
  if (e.active) {
    Lanes on = v > zero;
    if (e.activation == Activation::relu6) on &= v < 6.f;
    on &= lane_bits;
    std::int32_t bits = 0;
    for (std::int64_t c = 0; c < width; ++c) bits |= on[c];
    const auto low = static_cast<std::uint16_t>(bits);
    std::memcpy(e.active + at / 8, &low, sizeof low);
  }
}

LIMPID_CLONES void gather_row(const float* from, float* y, const Plan& p, const TileRow& at, std::int64_t row, std::int64_t plane, std::int64_t out, const Epilogue<float>& e) {
  const std::int64_t top = p.down.begin(row);
  Vector bias{};
  if (e.bias) load(bias, e.bias + out);
  for (std::int64_t tile = 0; tile < p.across.count; ++tile) {
    const std::int64_t left = p.across.begin(tile);
    for_size(p.down.size_of(row), p.across.size_of(tile), [&]<int tile_rows, int tile_columns>() __attribute__((always_inline)) {
      constexpr int rows = tile_rows + 2, columns = tile_columns + 2;
      Vector m[rows * columns];
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < columns; ++j) load(m[i * columns + j], from + (at.first[i * 6 + j] + tile) * p.outs);
      for (int j = 0; j < columns; ++j) gather_line<tile_rows>(m + j, columns);
      for (int i = 0; i < tile_rows; ++i) gather_line<tile_columns>(m + columns * i, 1);
      for (std::int64_t i = 0; i < tile_rows && top + i < p.down.extent; ++i)
        for (std::int64_t j = 0; j < tile_columns && left + j < p.across.extent; ++j)
          finish(m[columns * i + j], plane + ((top + i) * p.across.extent + left + j) * width, bias, y, e);
    });
  }
}

}  // namespace

Tiles::Tiles(std::int64_t n) : extent(n), count((n + 3) / 4), size(std::max<std::int64_t>((n + count - 1) / count, 2)), large(std::min(count, n - count * (size - 1))) {}

Plan::Plan(std::int64_t n, std::int64_t in, std::int64_t rows, std::int64_t columns, std::int64_t out, std::int64_t out_rows, std::int64_t out_columns, std::int64_t above, std::int64_t before)
    : pictures(n), channels(in), in_rows(rows), in_columns(columns), outs(out), row_begin(above), column_begin(before), down(out_rows), across(out_columns) {
  for (std::int64_t i = 0; i < 6; ++i)
    for (std::int64_t j = 0; j < 6; ++j) tiles[product_of(i, j)] = n * down.using_point(i) * across.using_point(j);
  all_tiles = 0;
  for (std::int64_t k = 0; k < products; ++k) {
    first[k] = all_tiles;
    all_tiles += tiles[k];
    if (tiles[k] == 0) continue;
    if (!runs.empty() && runs.back().end == k && tiles[k - 1] == tiles[k]) runs.back().end = k + 1;
    else runs.push_back({k, k + 1});
  }
}

Tensor weights(const Tensor& w, bool turned) {
  const std::int64_t outs = w.shape()[turned ? 1 : 0], channels = w.shape()[turned ? 0 : 1];
  constexpr double g[6][3] = {{1. / 4, 0, 0}, {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6}, {0, 0, 1}, {1. / 24, 1. / 12, 1. / 6}, {1. / 24, -1. / 12, 1. / 6}};
  Tensor result(Shape{products, channels, outs});
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
          to[(product_of(i, j) * channels + c) * outs + o] = static_cast<float>(half[i][0] * g[j][0] + half[i][1] * g[j][1] + half[i][2] * g[j][2]);
    }
  });
  return result;
}

void spread(const float* x, float* to, const Plan& p) {
  const std::int64_t blocks = p.channels / width;
  parallel_for(p.pictures * p.down.count * blocks, [&](std::int64_t item) {
    const std::int64_t block = item % blocks, row = item / blocks % p.down.count, picture = item / blocks / p.down.count;
    spread_row(x + (picture * blocks + block) * p.in_rows * p.in_columns * width, to + block * width, p, TileRow(p, picture, row), row);
  });
}

void gather(const float* from, float* y, const Plan& p, const Epilogue<float>& e) {
  const std::int64_t blocks = p.outs / width;
  parallel_for(p.pictures * p.down.count * blocks, [&](std::int64_t item) {
    const std::int64_t block = item % blocks, row = item / blocks % p.down.count, picture = item / blocks / p.down.count;
    gather_row(from + block * width, y, p, TileRow(p, picture, row), row, (picture * blocks + block) * p.down.extent * p.across.extent * width, block * width, e);
  });
}

}  // namespace limpid::cpu::winograd
