// Pooling: a thread takes eight channels of one point, channels running fastest. Backward gathers, so that no sum needs an atomic and the
// order is fixed. Bytes: the input once (its windows overlap in the caches), the output once, half a byte a tap.
#include <limpid/cuda/kernels/pool_window.h>

namespace limpid::cuda::kernels {
namespace {

template <class T, int Bits>
__global__ void max_pool_kernel(const T* x, T* y, typename TapWord<Bits>::type* taps, PoolWindows w, std::uint32_t items) {
  const auto i = static_cast<std::uint32_t>(thread_number());
  if (i >= items) return;
  const auto p = w.place(i, w.out_rows, w.out_columns);
  unsigned winners[8];
  const Float8 best = window_maximum<Bits>(w, p.row, p.column, winners, [&](int row, int column) { return load8(x + w.in_pack(p.image, row, column, p.pack) * 8); });
  store8(y + static_cast<std::int64_t>(i) * 8, best);
  if (taps) taps[i] = tap_word<Bits>(winners);
}

template <class T, int Bits>
__global__ void max_pool_backward_kernel(const typename TapWord<Bits>::type* taps, const T* dy, T* dx, PoolWindows w, std::uint32_t items) {
  const auto i = static_cast<std::uint32_t>(thread_number());
  if (i >= items) return;
  const auto p = w.place(i, w.in_rows, w.in_columns);
  store8(dx + static_cast<std::int64_t>(i) * 8, gather_gradient<Bits>(w, taps, dy, p.image, p.row, p.column, p.pack));
}

/// One over the number of points that the average of window (row, column) divides by.
__device__ inline float share(const PoolWindows& w, int row, int column, bool count_include_pad) {
  if (count_include_pad) return 1.f / static_cast<float>(w.kernel_rows * w.kernel_columns);
  const int y = row * w.stride_rows - w.begin_rows, x = column * w.stride_columns - w.begin_columns;
  const int height = min(y + w.kernel_rows, w.in_rows) - max(y, 0), width = min(x + w.kernel_columns, w.in_columns) - max(x, 0);
  return 1.f / static_cast<float>(height * width);
}

template <class T>
__global__ void avg_pool_kernel(const T* x, T* y, PoolWindows w, bool count_include_pad, std::uint32_t items) {
  const auto i = static_cast<std::uint32_t>(thread_number());
  if (i >= items) return;
  const auto p = w.place(i, w.out_rows, w.out_columns);
  Float8 sum{};
  for (int ky = 0; ky < w.kernel_rows; ++ky)
    for (int kx = 0; kx < w.kernel_columns; ++kx) {
      const int row = p.row * w.stride_rows - w.begin_rows + ky, column = p.column * w.stride_columns - w.begin_columns + kx;
      if (row < 0 || row >= w.in_rows || column < 0 || column >= w.in_columns) continue;
      const Float8 v = load8(x + w.in_pack(p.image, row, column, p.pack) * 8);
      for (int k = 0; k < 8; ++k) sum.v[k] += v.v[k];
    }
  const float factor = share(w, p.row, p.column, count_include_pad);
  for (float& s : sum.v) s *= factor;
  store8(y + static_cast<std::int64_t>(i) * 8, sum);
}

template <class T>
__global__ void avg_pool_backward_kernel(const T* dy, T* dx, PoolWindows w, bool count_include_pad, std::uint32_t items) {
  const auto i = static_cast<std::uint32_t>(thread_number());
  if (i >= items) return;
  const auto p = w.place(i, w.in_rows, w.in_columns);
  Float8 sum{};
  for (int oy = first_window(p.row, w.begin_rows, w.kernel_rows, w.stride_rows); oy <= last_window(p.row, w.begin_rows, w.stride_rows, w.out_rows); ++oy)
    for (int ox = first_window(p.column, w.begin_columns, w.kernel_columns, w.stride_columns); ox <= last_window(p.column, w.begin_columns, w.stride_columns, w.out_columns); ++ox) {
      const Float8 g = load8(dy + w.out_pack(p.image, oy, ox, p.pack) * 8);
      const float factor = share(w, oy, ox, count_include_pad);
      for (int k = 0; k < 8; ++k) sum.v[k] += factor * g.v[k];
    }
  store8(dx + static_cast<std::int64_t>(i) * 8, sum);
}

template <class T>
__global__ void global_avg_pool_kernel(const T* x, float* y, std::uint32_t items, std::uint32_t channels, std::uint32_t points) {
  const auto i = static_cast<std::uint32_t>(thread_number());
  if (i >= items) return;
  const std::uint32_t packs = (channels + 7) / 8, image = i / packs, pack = i % packs;
  Float8 sum{};
  for (std::uint32_t point = 0; point < points; ++point) {
    const Float8 v = load8(x + ((static_cast<std::int64_t>(image) * points + point) * packs + pack) * 8);
    for (int k = 0; k < 8; ++k) sum.v[k] += v.v[k];
  }
  for (std::uint32_t k = 0; k < 8 && pack * 8 + k < channels; ++k) y[static_cast<std::int64_t>(image) * channels + pack * 8 + k] = sum.v[k] / static_cast<float>(points);
}

template <class T>
__global__ void global_avg_pool_backward_kernel(const float* dy, T* dx, std::uint32_t items, std::uint32_t channels, std::uint32_t points) {
  const auto i = static_cast<std::uint32_t>(thread_number());
  if (i >= items) return;
  const std::uint32_t packs = (channels + 7) / 8, pack = i % packs, image = i / packs / points;
  Float8 g{};
  for (std::uint32_t k = 0; k < 8 && pack * 8 + k < channels; ++k) g.v[k] = dy[static_cast<std::int64_t>(image) * channels + pack * 8 + k] / static_cast<float>(points);
  store8(dx + static_cast<std::int64_t>(i) * 8, g);
}

std::int64_t in_items(const PoolShape& s) { return s.images * s.in_rows * s.in_columns * s.channels / 8; }
std::int64_t out_items(const PoolShape& s) { return s.images * s.out_rows * s.out_columns * s.channels / 8; }

}  // namespace

void max_pool(Stream& stream, const void* x, void* y, void* taps, DType type, const PoolShape& shape) {
  dispatch_taps(type, shape, [&](auto t, auto bits) {
    using T = decltype(t);
    constexpr int Bits = decltype(bits)::value;
    launch(max_pool_kernel<T, Bits>, blocks_for(out_items(shape)), dim3(256), stream, static_cast<const T*>(x), static_cast<T*>(y), static_cast<typename TapWord<Bits>::type*>(taps), PoolWindows(shape),
           static_cast<std::uint32_t>(out_items(shape)));
  });
}

void max_pool_backward(Stream& stream, const void* taps, const void* dy, void* dx, DType type, const PoolShape& shape) {
  dispatch_taps(type, shape, [&](auto t, auto bits) {
    using T = decltype(t);
    constexpr int Bits = decltype(bits)::value;
    launch(max_pool_backward_kernel<T, Bits>, blocks_for(in_items(shape)), dim3(256), stream, static_cast<const typename TapWord<Bits>::type*>(taps), static_cast<const T*>(dy), static_cast<T*>(dx),
           PoolWindows(shape), static_cast<std::uint32_t>(in_items(shape)));
  });
}

void avg_pool(Stream& stream, const void* x, void* y, DType type, const PoolShape& shape) {
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(avg_pool_kernel<T>, blocks_for(out_items(shape)), dim3(256), stream, static_cast<const T*>(x), static_cast<T*>(y), PoolWindows(shape), shape.count_include_pad, static_cast<std::uint32_t>(out_items(shape)));
  });
}

void avg_pool_backward(Stream& stream, const void* dy, void* dx, DType type, const PoolShape& shape) {
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(avg_pool_backward_kernel<T>, blocks_for(in_items(shape)), dim3(256), stream, static_cast<const T*>(dy), static_cast<T*>(dx), PoolWindows(shape), shape.count_include_pad, static_cast<std::uint32_t>(in_items(shape)));
  });
}

void global_avg_pool(Stream& stream, const void* x, DType type, float* y, std::int64_t images, std::int64_t channels, std::int64_t points) {
  const std::int64_t items = images * packs(channels);
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(global_avg_pool_kernel<T>, blocks_for(items, 64), dim3(64), stream, static_cast<const T*>(x), y, static_cast<std::uint32_t>(items), static_cast<std::uint32_t>(channels), static_cast<std::uint32_t>(points));
  });
}

void global_avg_pool_backward(Stream& stream, const float* dy, void* dx, DType type, std::int64_t images, std::int64_t channels, std::int64_t points) {
  const std::int64_t items = images * points * packs(channels);
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(global_avg_pool_backward_kernel<T>, blocks_for(items), dim3(256), stream, dy, static_cast<T*>(dx), static_cast<std::uint32_t>(items), static_cast<std::uint32_t>(channels), static_cast<std::uint32_t>(points));
  });
}

}  // namespace limpid::cuda::kernels
