#include <limpid/cpu/avx512.h>
#include <limpid/cpu/path_pool.h>
#include <limpid/runtime/clones.h>
#include <limpid/runtime/parallel.h>

#include <algorithm>
#include <cstring>

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are arguments of inlined functions only

namespace limpid::cpu::kernels {
namespace {

#define LIMPID_INLINE inline __attribute__((always_inline))

/// N channels of one point.
template <int N>
struct Lanes {
  typedef float Float __attribute__((vector_size(4 * N)));
  typedef std::int32_t Int __attribute__((vector_size(4 * N)));
  typedef std::uint32_t Unsigned __attribute__((vector_size(4 * N)));
  typedef std::uint16_t Half __attribute__((vector_size(2 * N)));
  typedef std::uint8_t Byte __attribute__((vector_size(N)));
};

template <class V>
LIMPID_INLINE void get(V& v, const void* from) { std::memcpy(&v, from, sizeof v); }
template <class V>
LIMPID_INLINE void put(void* to, const V& v) { std::memcpy(to, &v, sizeof v); }

template <int N>
LIMPID_INLINE void widen(typename Lanes<N>::Float& v, const float* from) { get(v, from); }
template <int N>
LIMPID_INLINE void widen(typename Lanes<N>::Float& v, const bfloat16* from) {
  typename Lanes<N>::Half bits;
  get(bits, from);
  v = (typename Lanes<N>::Float)(__builtin_convertvector(bits, typename Lanes<N>::Int) << 16);
}

/// A stretch of windows side by side, of one row of the sweep. Pointers are to the first channel of a block: of the input's row and column 0 under tap 0
/// of window `first` (where that lies outside, only taps that lie inside are read), of window `first`.
template <class T>
struct Stretch {
  const float *b, *x;
  T* y;
  std::uint8_t* taps;
  float alpha;
  std::int64_t first, last;
};

struct Range { int begin, end; };
/// The taps of window o that lie on the axis of n points.
LIMPID_INLINE Range inside(const Axis& a, std::int64_t o, std::int64_t n) {
  const std::int64_t at = a.in(o, 0);
  return {static_cast<int>(at < 0 ? -at : 0), static_cast<int>(at + a.kernel > n ? n - at : a.kernel)};
}

constexpr std::uint32_t infinity = 0x7f800000, six = 0x40c00000;

/// Points are compared in f32, whatever is stored: rounded to bf16 many neighbours would be equal, and the gradient would go to the wrong one. They are
/// compared as the integers that their bits are: right for positive ones, and the others lose against zero. One comparison for two-sided bounds: g++ 12
/// makes scalars of what combines masks. `most`: taps at most.
template <int most, int N, class T>
LIMPID_INLINE void window(const float* b, const float* x, T* y, std::uint8_t* taps, float alpha, bool bounded, std::int64_t pitch, std::int64_t width, int kernel_columns, Range rows, Range columns) {
  using V = Lanes<N>;
  typename V::Int values[most], best{}, tap{};
  int count = 0;
  for (int ky = rows.begin; ky < rows.end; ++ky)
    for (int kx = columns.begin; kx < columns.end; ++kx) {
      const std::int64_t at = ky * pitch + kx * width;
      typename V::Float from, to;
      get(from, b + at);
      get(to, x + at);
      const typename V::Float point = from + alpha * (to - from);
      const auto value = (typename V::Int)point;
      values[count++] = value;
      best = value > best ? value : best;
    }
  if (taps) {
    for (int ky = rows.end - 1; ky >= rows.begin; --ky)
      for (int kx = columns.end - 1; kx >= columns.begin; --kx) tap = values[--count] >= best ? typename V::Int{} + (ky * kernel_columns + kx) : tap;
    tap = (typename V::Unsigned)(best - 1) < (bounded ? six : infinity + 1u) - 1 ? tap : typename V::Int{} + PathPool::none;  // 0 < best < limit
    const auto bytes = __builtin_convertvector(tap, typename V::Byte);
    put(taps, bytes);
  }
  if (bounded) best = (typename V::Unsigned)(best - static_cast<std::int32_t>(six)) <= infinity - six ? typename V::Int{} + static_cast<std::int32_t>(six) : best;  // a NaN stays
  if constexpr (sizeof(T) == 2) {  // to the nearest, ties to even
    const auto bits = __builtin_convertvector((best + 0x7fff + (best >> 16 & 1)) >> 16, typename V::Half);
    put(y, bits);
  } else {
    put(y, best);
  }
}

template <int N, class T>
LIMPID_INLINE void pool(const PathPool& s, const Stretch<T>& line, Range rows) {
  const bool three = s.rows.kernel == 3 && s.columns.kernel == 3 && rows.end - rows.begin == 3, bounded = s.activation == Activation::relu6;
  const std::int64_t pitch = s.in_columns * s.width, step = s.columns.stride * s.width;
  const int kernel_columns = static_cast<int>(s.columns.kernel);
  for (std::int64_t o = line.first; o < line.last; ++o) {
    const Range columns = inside(s.columns, o, s.in_columns);
    const std::int64_t from = (o - line.first) * step, to = (o - line.first) * s.width;
    const bool whole = three && columns.end - columns.begin == 3;
    for (std::int64_t c = 0; c < s.width; c += N) {
      const float *b = line.b + from + c, *x = line.x + from + c;
      std::uint8_t* taps = line.taps ? line.taps + to + c : nullptr;
      if (whole) window<9, N>(b, x, line.y + to + c, taps, line.alpha, bounded, pitch, s.width, 3, {0, 3}, {0, 3});
      else window<PathPool::none, N>(b, x, line.y + to + c, taps, line.alpha, bounded, pitch, s.width, kernel_columns, rows, columns);
    }
  }
}

/// The gradient at a row of points from a row of windows, of which tap row `own` meets it. All pointers to column 0 of a block.
template <class T>
struct Scatter {
  const std::uint8_t* taps;
  const T *dy, *more;
  float* sums;
  float weight;
  std::int32_t own;
};

template <int N, class T>
LIMPID_INLINE void scatter(const PathPool& s, const Scatter<T>& line) {
  using V = Lanes<N>;
  const std::int64_t width = s.width;
  const float weight = line.weight;  // what is written below might be it, for all the compiler knows
  for (std::int64_t o = 0; o < s.out_columns; ++o) {
    const Range columns = inside(s.columns, o, s.in_columns);
    for (std::int64_t c = 0; c < width; c += N) {
      const std::int64_t at = o * width + c;
      typename V::Float gradient;
      widen<N>(gradient, line.dy + at);
      if (line.more) {
        typename V::Float more;
        widen<N>(more, line.more + at);
        gradient += more;
      }
      typename V::Byte bytes;
      get(bytes, line.taps + at);
      const auto tap = __builtin_convertvector(bytes, typename V::Int) - line.own;
      float* to = line.sums + s.columns.in(o, 0) * width + c;
      const auto give = [&](int kx) __attribute__((always_inline)) {
        typename V::Float sum;
        get(sum, to + kx * width);
        sum += tap == kx ? weight * gradient : typename V::Float{};
        put(to + kx * width, sum);
      };
      if (columns.begin == 0 && columns.end == 3) give(0), give(1), give(2);
      else
        for (int kx = columns.begin; kx < columns.end; ++kx) give(kx);
    }
  }
}

#ifdef LIMPID_AVX512
/// The same, sixteen channels at a time; g++ 12 would widen bytes in pieces.
template <class T>
LIMPID_AVX512 void scatter_wide(const PathPool& s, const Scatter<T>& line) {
  const std::int64_t width = s.width;
  const __m512 weight = _mm512_set1_ps(line.weight);
  const __m128i own = _mm_set1_epi8(static_cast<char>(line.own)), one = _mm_set1_epi8(1);
  for (std::int64_t o = 0; o < s.out_columns; ++o) {
    const Range columns = inside(s.columns, o, s.in_columns);
    const bool three = columns.begin == 0 && columns.end == 3;
    float* sums = line.sums + s.columns.in(o, 0) * width;
    for (std::int64_t c = 0; c < width; c += 16, sums += 16) {
      const std::int64_t at = o * width + c;
      __m512 gradient = load16(line.dy + at);
      if (line.more) gradient = _mm512_add_ps(gradient, load16(line.more + at));
      const __m128i taps = _mm_sub_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(line.taps + at)), own);
      const auto give = [&](float* to, __m128i kx) LIMPID_AVX512 {
        const __m512 sum = _mm512_loadu_ps(to);
        _mm512_storeu_ps(to, _mm512_mask3_fmadd_ps(gradient, weight, sum, _mm_cmpeq_epi8_mask(taps, kx)));
      };
      if (three) {
        give(sums, _mm_setzero_si128());
        give(sums + width, one);
        give(sums + 2 * width, _mm_set1_epi8(2));
      } else {
        for (int kx = columns.begin; kx < columns.end; ++kx) give(sums + kx * width, _mm_set1_epi8(static_cast<char>(kx)));
      }
    }
  }
}
#else
template <class T>
void scatter_wide(const PathPool&, const Scatter<T>&) {}
#endif

// Entries to the loops, for each type and vector.
LIMPID_CLONES void pool16(const PathPool& s, const Stretch<float>& line, Range rows) { pool<16>(s, line, rows); }
LIMPID_CLONES void pool16(const PathPool& s, const Stretch<bfloat16>& line, Range rows) { pool<16>(s, line, rows); }
LIMPID_CLONES void pool8(const PathPool& s, const Stretch<float>& line, Range rows) { pool<8>(s, line, rows); }
LIMPID_CLONES void pool8(const PathPool& s, const Stretch<bfloat16>& line, Range rows) { pool<8>(s, line, rows); }
LIMPID_CLONES void scatter16(const PathPool& s, const Scatter<float>& line) { scatter<16>(s, line); }
LIMPID_CLONES void scatter16(const PathPool& s, const Scatter<bfloat16>& line) { scatter<16>(s, line); }
LIMPID_CLONES void scatter8(const PathPool& s, const Scatter<float>& line) { scatter<8>(s, line); }
LIMPID_CLONES void scatter8(const PathPool& s, const Scatter<bfloat16>& line) { scatter<8>(s, line); }

/// Windows whose points of both ends stay in the L1 cache while all rows of the pass take theirs.
std::int64_t stretch(const PathPool& s) { return std::max<std::int64_t>(1, (std::int64_t{24} << 10) / (s.rows.kernel * s.columns.stride * s.width * 2 * 4)); }

template <class T>
void forward(const PathPool& s, const float* b, const float* x, const double* nodes, std::int64_t first_row, T* y, std::uint8_t* taps) {
  const std::int64_t step = stretch(s);
  parallel_for(s.blocks * s.out_rows, [&](std::int64_t item) {
    const std::int64_t block = item / s.out_rows, o = item % s.out_rows;
    const Range rows = inside(s.rows, o, s.in_rows);
    const std::int64_t line = (block * s.in_rows + s.rows.in(o, 0)) * s.in_columns;
    for (std::int64_t first = 0; first < s.out_columns; first += step)
      for (std::int64_t r = 0; r < s.chunk; ++r) {
        const std::int64_t row = std::min(first_row + r, s.samples * s.sweep - 1), sample = row / s.sweep;  // a short last pass repeats its last row
        const std::int64_t from = sample * s.in_size() + (line + s.columns.in(first, 0)) * s.width, to = r * s.out_size() + (item * s.out_columns + first) * s.width;
        const Stretch<T> part{b + from, x + from, y + to, taps ? taps + to : nullptr, static_cast<float>(nodes[row % s.sweep]), first, std::min(first + step, s.out_columns)};
        if (s.width % 16 == 0) pool16(s, part, rows);
        else pool8(s, part, rows);
      }
  });
}

template <class T>
void backward(const PathPool& s, const std::uint8_t* taps, const T* dy, const T* more, const double* weights, std::int64_t first_row, std::int64_t rows, float* sums) {
  const std::int64_t first_sample = first_row / s.sweep, samples = (first_row + rows - 1) / s.sweep + 1 - first_sample;
  parallel_for(samples * s.blocks * s.in_rows, [&](std::int64_t item) {
    const std::int64_t sample = first_sample + item / s.in_rows / s.blocks, block = item / s.in_rows % s.blocks, i = item % s.in_rows;
    const std::int64_t first = std::max<std::int64_t>(0, (i + s.rows.begin - s.rows.kernel + s.rows.stride) / s.rows.stride), last = std::min((i + s.rows.begin) / s.rows.stride, s.out_rows - 1);
    float* to = sums + sample * s.in_size() + (block * s.in_rows + i) * s.in_columns * s.width;
    for (std::int64_t row = std::max(sample * s.sweep, first_row); row < std::min((sample + 1) * s.sweep, first_row + rows); ++row)
      for (std::int64_t o = first; o <= last; ++o) {
        const std::int64_t from = (row - first_row) * s.out_size() + (block * s.out_rows + o) * s.out_columns * s.width;
        const Scatter<T> line{taps + from, dy + from, more ? more + from : nullptr, to, static_cast<float>(weights[row % s.sweep]), static_cast<std::int32_t>((i - s.rows.in(o, 0)) * s.columns.kernel)};
        if (s.width % 16 == 0 && has_avx512()) scatter_wide(s, line);
        else if (s.width % 16 == 0) scatter16(s, line);
        else scatter8(s, line);
      }
  });
}

}  // namespace

void path_pool(const PathPool& s, const float* b, const float* x, const double* nodes, std::int64_t first_row, void* y, std::uint8_t* taps, bool narrow) {
  if (narrow) forward(s, b, x, nodes, first_row, static_cast<bfloat16*>(y), taps);
  else forward(s, b, x, nodes, first_row, static_cast<float*>(y), taps);
}

void path_pool_backward(const PathPool& s, const std::uint8_t* taps, const void* dy, const void* more, bool narrow, const double* weights, std::int64_t first_row, std::int64_t rows, float* sums) {
  if (narrow) backward(s, taps, static_cast<const bfloat16*>(dy), static_cast<const bfloat16*>(more), weights, first_row, rows, sums);
  else backward(s, taps, static_cast<const float*>(dy), static_cast<const float*>(more), weights, first_row, rows, sums);
}

}  // namespace limpid::cpu::kernels
