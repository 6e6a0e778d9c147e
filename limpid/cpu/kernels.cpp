#include <limpid/cpu/kernels.h>
#include <limpid/runtime/clones.h>
#include <limpid/runtime/parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace limpid::cpu::kernels {
namespace {

constexpr std::int64_t block_size = 1 << 14;

/// f(begin, end) over blocks of [0, n).
template <class F>
void in_blocks(std::int64_t n, F f) {
  parallel_for((n + block_size - 1) / block_size, [&](std::int64_t i) { f(i * block_size, std::min(n, (i + 1) * block_size)); });
}

/// f(x as T*) for the type that `narrow` names.
template <class F>
void typed(bool narrow, F f) {
  if (narrow) f(bfloat16{});
  else f(float{});
}

template <class T> T* at(void* p, std::int64_t i) { return static_cast<T*>(p) + i; }
template <class T> const T* at(const void* p, std::int64_t i) { return static_cast<const T*>(p) + i; }

template <class T>
inline __attribute__((always_inline)) void activation_body(const T* x, T* y, std::int64_t n, Activation kind) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = T(activate(static_cast<float>(x[i]), kind));
}
LIMPID_CLONES void activation_block(const float* x, float* y, std::int64_t n, Activation kind) { activation_body(x, y, n, kind); }
LIMPID_CLONES void activation_block(const bfloat16* x, bfloat16* y, std::int64_t n, Activation kind) { activation_body(x, y, n, kind); }

template <Activation kind, ReluRule rule, class T>
inline __attribute__((always_inline)) void backward_loop(const T* y, const T* dy, const T* more, T* dx, std::int64_t n) {
  if (more) {
    for (std::int64_t i = 0; i < n; ++i) dx[i] = T(activate_backward(static_cast<float>(y[i]), static_cast<float>(dy[i]) + static_cast<float>(more[i]), kind, rule));
  } else {
    for (std::int64_t i = 0; i < n; ++i) dx[i] = T(activate_backward(static_cast<float>(y[i]), static_cast<float>(dy[i]), kind, rule));
  }
}
template <class T>
inline __attribute__((always_inline)) void backward_body(const T* y, const T* dy, const T* more, T* dx, std::int64_t n, Activation kind, ReluRule rule) {
  if (rule == ReluRule::deconvolution) backward_loop<Activation::relu, ReluRule::deconvolution>(y, dy, more, dx, n);  // whatever the unit did
  else if (rule == ReluRule::guided) kind == Activation::relu6 ? backward_loop<Activation::relu6, ReluRule::guided>(y, dy, more, dx, n) : backward_loop<Activation::relu, ReluRule::guided>(y, dy, more, dx, n);
  else kind == Activation::relu6 ? backward_loop<Activation::relu6, ReluRule::plain>(y, dy, more, dx, n) : backward_loop<Activation::relu, ReluRule::plain>(y, dy, more, dx, n);
}
LIMPID_CLONES void backward_block(const float* y, const float* dy, const float* more, float* dx, std::int64_t n, Activation kind, ReluRule rule) { backward_body(y, dy, more, dx, n, kind, rule); }
LIMPID_CLONES void backward_block(const bfloat16* y, const bfloat16* dy, const bfloat16* more, bfloat16* dx, std::int64_t n, Activation kind, ReluRule rule) {
  backward_body(y, dy, more, dx, n, kind, rule);
}

LIMPID_CLONES void binary_block(Binary op, const float* a, const float* b, float* out, std::int64_t n) {
  if (op == Binary::add) for (std::int64_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
  if (op == Binary::sub) for (std::int64_t i = 0; i < n; ++i) out[i] = a[i] - b[i];
  if (op == Binary::mul) for (std::int64_t i = 0; i < n; ++i) out[i] = a[i] * b[i];
}
LIMPID_CLONES void add_block(const float* a, const float* b, float* out, std::int64_t n) { for (std::int64_t i = 0; i < n; ++i) out[i] = a[i] + b[i]; }
LIMPID_CLONES void add_block(const bfloat16* a, const bfloat16* b, bfloat16* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = bfloat16(static_cast<float>(a[i]) + static_cast<float>(b[i]));
}
LIMPID_CLONES void scale_block(const float* x, float* y, std::int64_t n, float factor) { for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] * factor; }
LIMPID_CLONES float dot_block(const float* a, const float* b, std::int64_t n) {
  float total = 0;
#pragma omp simd reduction(+ : total)
  for (std::int64_t i = 0; i < n; ++i) total += a[i] * b[i];
  return total;
}
LIMPID_CLONES void absolute_block(const float* x, float* y, std::int64_t n) { for (std::int64_t i = 0; i < n; ++i) y[i] = std::fabs(x[i]); }
LIMPID_CLONES void accumulate_block(float* total, const float* x, std::int64_t n, float weight) { for (std::int64_t i = 0; i < n; ++i) total[i] += weight * x[i]; }
LIMPID_CLONES void accumulate_block(float* total, const bfloat16* x, std::int64_t n, float weight) { for (std::int64_t i = 0; i < n; ++i) total[i] += weight * static_cast<float>(x[i]); }

template <Activation kind, class T>
inline __attribute__((always_inline)) void path_loop(const float* b, const float* x, T* out, std::int64_t n, float alpha) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = T(activate(limpid::path_point(b[i], x[i], alpha), kind));
}
template <class T>
inline __attribute__((always_inline)) void path_body(const float* b, const float* x, T* out, std::int64_t n, float alpha, Activation kind) {
  if (kind == Activation::relu) path_loop<Activation::relu>(b, x, out, n, alpha);
  else if (kind == Activation::relu6) path_loop<Activation::relu6>(b, x, out, n, alpha);
  else path_loop<Activation::none>(b, x, out, n, alpha);
}
LIMPID_CLONES void path_block(const float* b, const float* x, float* out, std::int64_t n, float alpha, Activation kind) { path_body(b, x, out, n, alpha, kind); }
LIMPID_CLONES void path_block(const float* b, const float* x, bfloat16* out, std::int64_t n, float alpha, Activation kind) { path_body(b, x, out, n, alpha, kind); }

}  // namespace

void activation(const void* x, void* y, bool narrow, std::int64_t n, Activation kind) {
  typed(narrow, [&](auto tag) {
    using T = decltype(tag);
    in_blocks(n, [&](auto begin, auto end) { activation_block(at<T>(x, begin), at<T>(y, begin), end - begin, kind); });
  });
}

void activation_backward(const void* y, const void* dy, const void* more, void* dx, bool narrow, std::int64_t n, Activation kind, ReluRule rule) {
  typed(narrow, [&](auto tag) {
    using T = decltype(tag);
    in_blocks(n, [&](auto begin, auto end) { backward_block(at<T>(y, begin), at<T>(dy, begin), more ? at<T>(more, begin) : nullptr, at<T>(dx, begin), end - begin, kind, rule); });
  });
}

void binary(Binary op, const float* a, const float* b, float* out, std::int64_t n) {
  in_blocks(n, [&](auto begin, auto end) { binary_block(op, a + begin, b + begin, out + begin, end - begin); });
}

void add(const void* a, const void* b, void* out, bool narrow, std::int64_t n) {
  typed(narrow, [&](auto tag) {
    using T = decltype(tag);
    in_blocks(n, [&](auto begin, auto end) { add_block(at<T>(a, begin), at<T>(b, begin), at<T>(out, begin), end - begin); });
  });
}

void scale(const float* x, float* y, std::int64_t n, float factor) {
  in_blocks(n, [&](auto begin, auto end) { scale_block(x + begin, y + begin, end - begin, factor); });
}

float dot(const float* a, const float* b, std::int64_t n) { return dot_block(a, b, n); }

void absolute(const float* x, float* y, std::int64_t n) {
  in_blocks(n, [&](auto begin, auto end) { absolute_block(x + begin, y + begin, end - begin); });
}

void accumulate(float* total, const void* x, bool narrow, std::int64_t n, float weight) {
  typed(narrow, [&](auto tag) {
    using T = decltype(tag);
    in_blocks(n, [&](auto begin, auto end) { accumulate_block(total + begin, at<T>(x, begin), end - begin, weight); });
  });
}

void path_point(const float* b, const float* x, void* out, bool narrow, std::int64_t n, float alpha, Activation kind) {
  typed(narrow, [&](auto tag) {
    using T = decltype(tag);
    in_blocks(n, [&](auto begin, auto end) { path_block(b + begin, x + begin, at<T>(out, begin), end - begin, alpha, kind); });
  });
}

void occlude_line(const float* x, const float* b, void* out, bool narrow, const WindowGrid& grid, const WindowGrid::Place& window, std::int64_t channel, std::int64_t row, std::int64_t left, std::int64_t count) {
  typed(narrow, [&](auto tag) {
    using T = decltype(tag);
    T* to = static_cast<T*>(out);
    const float *in = x + row * grid.column.extent + left, *hidden = b + row * grid.column.extent + left;
    for (std::int64_t i = 0; i < count; ++i) to[i] = T(in[i]);
    if (!grid.channel.covers(window.channel, channel) || !grid.row.covers(window.row, row)) return;
    const std::int64_t begin = window.column * grid.column.stride - left, end = std::min(begin + grid.column.size, count);
    for (std::int64_t i = std::max(begin, std::int64_t{0}); i < end; ++i) to[i] = T(hidden[i]);
  });
}

void ablate_line(const float* x, const float* b, const std::int64_t* groups, void* out, bool narrow, std::int64_t n, std::int64_t feature) {
  typed(narrow, [&](auto tag) {
    using T = decltype(tag);
    for (std::int64_t i = 0; i < n; ++i) static_cast<T*>(out)[i] = T(groups[i] == feature ? b[i] : x[i]);
  });
}

void patch_line(const void* crop, const void* full, void* out, bool narrow, std::int64_t rows, std::int64_t columns, const Rectangle& from, const Rectangle& to, std::int64_t block,
                std::int64_t channels, float outside) {
  typed(narrow, [&](auto tag) {
    using T = decltype(tag);
    T* line = static_cast<T*>(out);
    const auto fill = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t x = begin; x < end; ++x)
        for (std::int64_t c = 0; c < block; ++c) line[x * block + c] = T(c < channels ? outside : 0.f);
    };
    const auto copy = [&](std::int64_t begin, std::int64_t end, const T* source, std::int64_t first) {  // source: a row of pixels, the picture's column `first` first
      if (begin < end) std::memcpy(line + begin * block, source + (to.left + begin - first) * block, static_cast<std::size_t>((end - begin) * block) * sizeof(T));
    };
    const std::int64_t y = to.top, begin = std::clamp<std::int64_t>(-to.left, 0, to.columns), end = std::clamp<std::int64_t>(columns - to.left, 0, to.columns);
    if (y < 0 || y >= rows || begin >= end) return fill(0, to.columns);
    fill(0, begin);
    const T* behind = at<T>(full, y * columns * block);
    if (y >= from.top && y < from.top + from.rows) {
      const std::int64_t first = std::clamp(from.left - to.left, begin, end), last = std::clamp(from.left + from.columns - to.left, begin, end);
      copy(begin, first, behind, 0);
      copy(first, last, at<T>(crop, (y - from.top) * from.columns * block), from.left);
      copy(last, end, behind, 0);
    } else {
      copy(begin, end, behind, 0);
    }
    fill(end, to.columns);
  });
}

void interleave(const void* coarse, void* fine, bool narrow, const Interleave& g) {
  typed(narrow, [&](auto tag) {
    using T = decltype(tag);
    parallel_for(g.rows * g.fine_rows, [&](std::int64_t item) {
      const std::int64_t r = item / g.fine_rows, y = item % g.fine_rows, s = g.stride;
      const std::int64_t blocks = (g.channels * s * s + g.block - 1) / g.block;
      for (std::int64_t c = 0; c < g.channels; ++c) {
        T* to = at<T>(fine, ((r * g.channels + c) * g.fine_rows + y) * g.fine_columns);
        for (std::int64_t phase = 0; phase < s; ++phase) {
          const std::int64_t channel = (c * s + y % s) * s + phase;
          const T* from = at<T>(coarse, (((r * blocks + channel / g.block) * g.coarse_rows + y / s) * g.coarse_columns) * g.block + channel % g.block);
          for (std::int64_t x = phase; x < g.fine_columns; x += s, from += g.block) to[x] = *from;
        }
      }
    });
  });
}

void global_average(const void* x, bool narrow, float* means, std::int64_t rows, std::int64_t channels, std::int64_t points, std::int64_t block) {
  const std::int64_t blocks = (channels + block - 1) / block;
  typed(narrow, [&](auto tag) {
    using T = decltype(tag);
    parallel_for(rows * blocks, [&](std::int64_t item) {
      const std::int64_t first = item % blocks * block, count = std::min(block, channels - first);
      const T* from = at<T>(x, item * points * block);
      float* to = means + item / blocks * channels + first;
      for (std::int64_t c = 0; c < count; ++c) {
        double total = 0;
        for (std::int64_t i = 0; i < points; ++i) total += static_cast<double>(static_cast<float>(from[i * block + c]));
        to[c] = static_cast<float>(total / static_cast<double>(points));
      }
    });
  });
}

void spread_average(const float* dy, void* dx, bool narrow, std::int64_t rows, std::int64_t channels, std::int64_t points, std::int64_t block) {
  const std::int64_t blocks = (channels + block - 1) / block;
  typed(narrow, [&](auto tag) {
    using T = decltype(tag);
    parallel_for(rows * blocks, [&](std::int64_t item) {
      const std::int64_t first = item % blocks * block, count = std::min(block, channels - first);
      const float* from = dy + item / blocks * channels + first;
      T* to = at<T>(dx, item * points * block);
      for (std::int64_t i = 0; i < points; ++i)
        for (std::int64_t c = 0; c < block; ++c) to[i * block + c] = T(c < count ? from[c] / static_cast<float>(points) : 0.f);
    });
  });
}

}  // namespace limpid::cpu::kernels
