// The start of a hoisted network: conv1 of the two ends is all that a path needs, so the points behind it, their ReLU and the max pooling
// are formed on the way from those two pictures to the pooled one, and the way back adds weighted gradients where the pooled ones belong.
// Nothing of conv1's size is stored for a step. Bytes a row: the pooled picture and its taps; the ends and the sums stay in the L2 cache.
#include <limpid/cuda/kernels/pool_window.h>
#include <limpid/cuda/kernels/sweep.h>

namespace limpid::cuda::kernels {
namespace {

template <class T, class Ends, int Bits>
__global__ void path_pool_kernel(const Ends* baseline, const Ends* input, const double* nodes, Activation activation, T* y, typename TapWord<Bits>::type* taps, PoolWindows w, std::uint32_t items,
                                 SweepRows rows) {
  const auto i = static_cast<std::uint32_t>(thread_number());
  if (i >= items) return;
  const auto p = w.place(i, w.out_rows, w.out_columns);
  const std::int64_t row = rows.at(p.image);
  const auto sample = static_cast<std::uint32_t>(row / rows.sweep);
  const auto alpha = static_cast<float>(nodes[row % rows.sweep]);
  unsigned winners[8];
  Float8 best = window_maximum<Bits>(w, p.row, p.column, winners, [&](int y_in, int x_in) {
    const std::int64_t at = w.in_pack(sample, y_in, x_in, p.pack) * 8;
    Float8 v = load8(baseline + at);
    const Float8 x = load8(input + at);
    // Rounded as a stored point would be, so that the fused and the stored path choose the same taps.
    for (int k = 0; k < 8; ++k) v.v[k] = static_cast<float>(static_cast<T>(activate(static_cast<float>(static_cast<T>(path_point(v.v[k], x.v[k], alpha))), activation)));
    return v;
  });
  for (int k = 0; k < 8; ++k)
    if (activation != Activation::none && !is_active(best.v[k], activation)) winners[k] = no_tap<Bits>;
  store8(y + static_cast<std::int64_t>(i) * 8, best);
  if (taps) taps[i] = tap_word<Bits>(winners);
}

template <class T, int Bits>
__global__ void path_pool_backward_kernel(const typename TapWord<Bits>::type* taps, const T* dy, const double* weights, float* sums, PoolWindows w, std::uint32_t items, SweepRows rows) {
  const auto i = static_cast<std::uint32_t>(thread_number());
  if (i >= items) return;
  const auto p = w.place(i, w.in_rows, w.in_columns);
  const std::int64_t first = *rows.first_row, count = rows.valid();
  for (std::int64_t r = 0; r < count;) {
    const std::int64_t sample = (first + r) / rows.sweep, end = min(count, (sample + 1) * rows.sweep - first);
    float* to = sums + (sample * items + i) * 8;
    Float8 total = load8(to);
    for (; r < end; ++r) {
      const auto weight = static_cast<float>(weights[(first + r) % rows.sweep]);
      const Float8 g = gather_gradient<Bits>(w, taps, dy, static_cast<std::uint32_t>(r), p.row, p.column, p.pack);
      for (int k = 0; k < 8; ++k) total.v[k] += weight * g.v[k];
    }
    store8(to, total);
  }
}

}  // namespace

void path_pool(Stream& stream, const PathEnds& ends, const double* nodes, Activation activation, void* y, void* taps, DType type, const PoolShape& shape, const SweepRows& rows) {
  const std::int64_t items = shape.images * shape.out_rows * shape.out_columns * shape.channels / 8;
  dispatch_taps(type, shape, [&](auto t, auto bits) {
    using T = decltype(t);
    constexpr int Bits = decltype(bits)::value;
    const auto start = [&](auto end) {
      using Ends = decltype(end);
      launch(path_pool_kernel<T, Ends, Bits>, blocks_for(items), dim3(256), stream, static_cast<const Ends*>(ends.baseline), static_cast<const Ends*>(ends.input), nodes, activation, static_cast<T*>(y),
             static_cast<typename TapWord<Bits>::type*>(taps), PoolWindows(shape), static_cast<std::uint32_t>(items), rows);
    };
    if (ends.type == DType::f32) start(float{});
    else start(t);
  });
}

void path_pool_backward(Stream& stream, const void* taps, const void* dy, const double* weights, float* sums, DType type, const PoolShape& shape, const SweepRows& rows) {
  const std::int64_t items = shape.in_rows * shape.in_columns * shape.channels / 8;
  dispatch_taps(type, shape, [&](auto t, auto bits) {
    using T = decltype(t);
    constexpr int Bits = decltype(bits)::value;
    launch(path_pool_backward_kernel<T, Bits>, blocks_for(items, 64), dim3(64), stream, static_cast<const typename TapWord<Bits>::type*>(taps), static_cast<const T*>(dy), weights, sums, PoolWindows(shape),
           static_cast<std::uint32_t>(items), rows);
  });
}

}  // namespace limpid::cuda::kernels
