#pragma once
// What pooling kernels share: windows in 32 bits, tap numbers eight at a time, and the two walks over a window.
#include <limpid/cuda/element.h>
#include <limpid/cuda/kernels/pool.h>

namespace limpid::cuda::kernels {

struct PoolWindows {
  explicit PoolWindows(const PoolShape& s)
      : packs(static_cast<int>(s.channels / 8)), in_rows(static_cast<int>(s.in_rows)), in_columns(static_cast<int>(s.in_columns)), out_rows(static_cast<int>(s.out_rows)),
        out_columns(static_cast<int>(s.out_columns)), kernel_rows(static_cast<int>(s.vertical.kernel)), kernel_columns(static_cast<int>(s.horizontal.kernel)), stride_rows(static_cast<int>(s.vertical.stride)),
        stride_columns(static_cast<int>(s.horizontal.stride)), begin_rows(static_cast<int>(s.vertical.begin)), begin_columns(static_cast<int>(s.horizontal.begin)) {}
  int packs, in_rows, in_columns, out_rows, out_columns, kernel_rows, kernel_columns, stride_rows, stride_columns, begin_rows, begin_columns;

  struct Place {
    std::uint32_t image;
    int row, column, pack;
  };
  __device__ Place place(std::uint32_t item, int rows, int columns) const {
    const auto p = static_cast<std::uint32_t>(packs), w = static_cast<std::uint32_t>(columns), h = static_cast<std::uint32_t>(rows);
    const std::uint32_t point = item / p;
    return {point / w / h, static_cast<int>(point / w % h), static_cast<int>(point % w), static_cast<int>(item % p)};
  }
  __device__ std::int64_t in_pack(std::uint32_t image, int y, int x, int pack) const { return ((static_cast<std::int64_t>(image) * in_rows + y) * in_columns + x) * packs + pack; }
  __device__ std::int64_t out_pack(std::uint32_t image, int y, int x, int pack) const { return ((static_cast<std::int64_t>(image) * out_rows + y) * out_columns + x) * packs + pack; }
};

/// The first and last window over one axis that cover point i.
__device__ inline int first_window(int i, int begin, int kernel, int stride) { return i + begin < kernel ? 0 : (i + begin - kernel) / stride + 1; }
__device__ inline int last_window(int i, int begin, int stride, int count) {
  const int last = (i + begin) / stride;
  return last < count ? last : count - 1;
}

/// Eight tap numbers of Bits bits each.
template <int Bits> struct TapWord;
template <> struct TapWord<4> { using type = std::uint32_t; };
template <> struct TapWord<8> { using type = std::uint64_t; };
template <int Bits> inline constexpr unsigned no_tap = (1u << Bits) - 1;

template <int Bits>
__device__ inline unsigned tap_of(typename TapWord<Bits>::type word, int k) { return static_cast<unsigned>(word >> (Bits * k)) & no_tap<Bits>; }

/// The maxima of one window and their taps, of the values that `value(row, column)` gives.
template <int Bits, class Value>
__device__ inline Float8 window_maximum(const PoolWindows& w, int row, int column, unsigned (&taps)[8], Value value) {
  Float8 best;
  for (int k = 0; k < 8; ++k) {
    best.v[k] = -INFINITY;
    taps[k] = no_tap<Bits>;
  }
  for (int ky = 0; ky < w.kernel_rows; ++ky)
    for (int kx = 0; kx < w.kernel_columns; ++kx) {
      const int y = row * w.stride_rows - w.begin_rows + ky, x = column * w.stride_columns - w.begin_columns + kx;
      if (y < 0 || y >= w.in_rows || x < 0 || x >= w.in_columns) continue;
      const Float8 v = value(y, x);
      for (int k = 0; k < 8; ++k)
        if (taps[k] == no_tap<Bits> || v.v[k] > best.v[k] || v.v[k] != v.v[k]) {
          best.v[k] = v.v[k];
          taps[k] = static_cast<unsigned>(ky * w.kernel_columns + kx);
        }
    }
  return best;
}

template <int Bits>
__device__ inline typename TapWord<Bits>::type tap_word(const unsigned (&taps)[8]) {
  typename TapWord<Bits>::type word = 0;
  for (int k = 0; k < 8; ++k) word |= static_cast<typename TapWord<Bits>::type>(taps[k]) << (Bits * k);
  return word;
}

/// The gradient at one input point: the sum over the windows that cover it and whose winning tap it is.
template <int Bits, class T>
__device__ inline Float8 gather_gradient(const PoolWindows& w, const typename TapWord<Bits>::type* taps, const T* dy, std::uint32_t image, int row, int column, int pack) {
  Float8 sum{};
  for (int oy = first_window(row, w.begin_rows, w.kernel_rows, w.stride_rows); oy <= last_window(row, w.begin_rows, w.stride_rows, w.out_rows); ++oy)
    for (int ox = first_window(column, w.begin_columns, w.kernel_columns, w.stride_columns); ox <= last_window(column, w.begin_columns, w.stride_columns, w.out_columns); ++ox) {
      const std::int64_t o = w.out_pack(image, oy, ox, pack);
      const auto own = static_cast<unsigned>((row - oy * w.stride_rows + w.begin_rows) * w.kernel_columns + column - ox * w.stride_columns + w.begin_columns);
      const auto word = taps[o];
      const Float8 g = load8(dy + o * 8);
      for (int k = 0; k < 8; ++k)
        if (tap_of<Bits>(word, k) == own) sum.v[k] += g.v[k];
    }
  return sum;
}

/// Calls f with the element type and the bits of a tap.
template <class F>
void dispatch_taps(DType type, const PoolShape& shape, F f) {
  dispatch_element(type, [&](auto t) {
    if (shape.tap_bits() == 4) f(t, std::integral_constant<int, 4>{});
    else f(t, std::integral_constant<int, 8>{});
  });
}

}  // namespace limpid::cuda::kernels
