// Row ops in plain f32. Sums of a row run over one block: each thread a fixed share, then a tree in shared memory, so the order never
// changes. Bytes: each operand once.
#include <limpid/cuda/element.h>
#include <limpid/cuda/kernels/rows.h>

namespace limpid::cuda::kernels {
namespace {

constexpr int width = 256;

/// The total of every thread's `mine`, by a tree over the block; all threads get it.
template <class T, class F>
__device__ T block_total(T mine, T* shared, F combine) {
  const auto t = static_cast<int>(threadIdx.x);
  shared[t] = mine;
  __syncthreads();
  for (int half = width / 2; half > 0; half /= 2) {
    if (t < half) shared[t] = combine(shared[t], shared[t + half]);
    __syncthreads();
  }
  const T total = shared[0];
  __syncthreads();
  return total;
}

struct Plus { __device__ double operator()(double a, double b) const { return a + b; } };
struct Larger { __device__ double operator()(double a, double b) const { return a > b || a != a ? a : b; } };

__global__ void sum_rows_kernel(const float* x, float* out, std::int64_t size) {
  __shared__ double shared[width];
  const float* row = x + static_cast<std::int64_t>(blockIdx.x) * size;
  double mine = 0;
  for (std::int64_t i = threadIdx.x; i < size; i += width) mine += static_cast<double>(row[i]);
  const double total = block_total(mine, shared, Plus{});
  if (threadIdx.x == 0) out[blockIdx.x] = static_cast<float>(total);
}

__global__ void softmax_kernel(const float* x, float* y, std::int64_t size) {
  __shared__ double shared[width];
  const float* row = x + static_cast<std::int64_t>(blockIdx.x) * size;
  float* to = y + static_cast<std::int64_t>(blockIdx.x) * size;
  double top = -INFINITY;
  for (std::int64_t i = threadIdx.x; i < size; i += width) top = Larger{}(static_cast<double>(row[i]), top);
  top = block_total(top, shared, Larger{});
  double mine = 0;
  for (std::int64_t i = threadIdx.x; i < size; i += width) mine += static_cast<double>(to[i] = expf(row[i] - static_cast<float>(top)));
  const double total = block_total(mine, shared, Plus{});
  for (std::int64_t i = threadIdx.x; i < size; i += width) to[i] = static_cast<float>(static_cast<double>(to[i]) / total);
}

__global__ void softmax_backward_kernel(const float* y, const float* dy, float* dx, std::int64_t size) {
  __shared__ double shared[width];
  const std::int64_t start = static_cast<std::int64_t>(blockIdx.x) * size;
  double mine = 0;
  for (std::int64_t i = threadIdx.x; i < size; i += width) mine += static_cast<double>(y[start + i]) * static_cast<double>(dy[start + i]);
  const auto dot = static_cast<float>(block_total(mine, shared, Plus{}));
  for (std::int64_t i = threadIdx.x; i < size; i += width) dx[start + i] = y[start + i] * (dy[start + i] - dot);
}

__global__ void copy_rows_kernel(const float* from, std::int64_t from_pitch, float* to, std::int64_t to_pitch, std::int64_t size, std::int64_t n) {
  const std::int64_t i = thread_number();
  if (i < n) to[i / size * to_pitch + i % size] = from[i / size * from_pitch + i % size];
}

__global__ void broadcast_channels_kernel(const float* x, float* y, std::int64_t channels, std::int64_t points, std::int64_t n) {
  const std::int64_t i = thread_number();
  if (i < n) y[i] = x[i / points / channels * points + i % points];
}

__global__ void sum_channels_kernel(const float* x, float* y, std::int64_t channels, std::int64_t points, std::int64_t n) {
  const std::int64_t i = thread_number();
  if (i >= n) return;
  float total = 0;
  for (std::int64_t c = 0; c < channels; ++c) total += x[(i / points * channels + c) * points + i % points];
  y[i] = total;
}

/// One warp a point: lanes over packs of channels, then a tree of shuffles.
template <class T>
__global__ void channel_weighted_sum_kernel(const float* weights, const T* x, float* out, std::int64_t channels, std::int64_t points, std::int64_t n) {
  const std::int64_t i = thread_number() / 32;
  const auto lane = static_cast<std::int64_t>(threadIdx.x % 32), packs = (channels + 7) / 8;
  if (i >= n) return;
  float total = 0;
  for (std::int64_t pack = lane; pack < packs; pack += 32) {
    const Float8 v = load8(x + (i * packs + pack) * 8);
    for (std::int64_t k = 0; k < 8 && pack * 8 + k < channels; ++k) total += weights[i / points * channels + pack * 8 + k] * v.v[k];
  }
  for (int offset = 16; offset > 0; offset /= 2) total += __shfl_down_sync(0xffffffffu, total, static_cast<unsigned>(offset));
  if (lane == 0) out[i] = total;
}

__global__ void interpolate_kernel(const float* x, float* y, Resampling r, std::int64_t n) {
  const std::int64_t i = thread_number();
  if (i >= n) return;
  const std::int64_t column = i % r.out_columns, row = i / r.out_columns % r.out_rows;
  const float* plane = x + i / r.out_columns / r.out_rows * r.in_rows * r.in_columns;
  if (r.mode == Interpolation::nearest) {
    y[i] = plane[nearest_tap(row, r.in_rows, r.out_rows) * r.in_columns + nearest_tap(column, r.in_columns, r.out_columns)];
    return;
  }
  const LinearTap v = linear_tap(row, r.in_rows, r.out_rows), h = linear_tap(column, r.in_columns, r.out_columns);
  const auto wv = static_cast<float>(v.weight), wh = static_cast<float>(h.weight);
  y[i] = (1 - wv) * ((1 - wh) * plane[v.low * r.in_columns + h.low] + wh * plane[v.low * r.in_columns + h.high]) +
         wv * ((1 - wh) * plane[v.high * r.in_columns + h.low] + wh * plane[v.high * r.in_columns + h.high]);
}

/// How much of output `out` comes from point `in` of an axis.
__device__ float tap_weight(std::int64_t in, std::int64_t out, std::int64_t n_in, std::int64_t n_out, Interpolation mode) {
  if (mode == Interpolation::nearest) return nearest_tap(out, n_in, n_out) == in ? 1.f : 0.f;
  const LinearTap t = linear_tap(out, n_in, n_out);
  return (t.low == in ? 1 - static_cast<float>(t.weight) : 0.f) + (t.high == in ? static_cast<float>(t.weight) : 0.f);
}

__global__ void interpolate_backward_kernel(const float* dy, float* dx, Resampling r, std::int64_t n) {
  const std::int64_t i = thread_number();
  if (i >= n) return;
  const std::int64_t column = i % r.in_columns, row = i / r.in_columns % r.in_rows;
  const float* plane = dy + i / r.in_columns / r.in_rows * r.out_rows * r.out_columns;
  // Outputs that may read this point lie around its image; one more on each side covers every rounding.
  const std::int64_t y0 = max((row - 1) * r.out_rows / r.in_rows - 1, std::int64_t{0}), y1 = min((row + 2) * r.out_rows / r.in_rows + 1, r.out_rows - 1);
  const std::int64_t x0 = max((column - 1) * r.out_columns / r.in_columns - 1, std::int64_t{0}), x1 = min((column + 2) * r.out_columns / r.in_columns + 1, r.out_columns - 1);
  float total = 0;
  for (std::int64_t y = y0; y <= y1; ++y) {
    const float wv = tap_weight(row, y, r.in_rows, r.out_rows, r.mode);
    if (wv == 0) continue;
    for (std::int64_t x = x0; x <= x1; ++x) total += wv * tap_weight(column, x, r.in_columns, r.out_columns, r.mode) * plane[y * r.out_columns + x];
  }
  dx[i] = total;
}

}  // namespace

void sum_rows(Stream& stream, const float* x, float* out, std::int64_t rows, std::int64_t size) { launch(sum_rows_kernel, dim3(static_cast<unsigned>(rows)), dim3(width), stream, x, out, size); }
void softmax(Stream& stream, const float* x, float* y, std::int64_t rows, std::int64_t size) { launch(softmax_kernel, dim3(static_cast<unsigned>(rows)), dim3(width), stream, x, y, size); }
void softmax_backward(Stream& stream, const float* y, const float* dy, float* dx, std::int64_t rows, std::int64_t size) {
  launch(softmax_backward_kernel, dim3(static_cast<unsigned>(rows)), dim3(width), stream, y, dy, dx, size);
}
void copy_rows(Stream& stream, const float* from, std::int64_t from_pitch, float* to, std::int64_t to_pitch, std::int64_t size, std::int64_t rows) {
  launch(copy_rows_kernel, blocks_for(rows * size), dim3(256), stream, from, from_pitch, to, to_pitch, size, rows * size);
}
void broadcast_channels(Stream& stream, const float* x, float* y, std::int64_t rows, std::int64_t channels, std::int64_t points) {
  const std::int64_t n = rows * channels * points;
  launch(broadcast_channels_kernel, blocks_for(n), dim3(256), stream, x, y, channels, points, n);
}
void sum_channels(Stream& stream, const float* x, float* y, std::int64_t rows, std::int64_t channels, std::int64_t points) {
  launch(sum_channels_kernel, blocks_for(rows * points), dim3(256), stream, x, y, channels, points, rows * points);
}
void channel_weighted_sum(Stream& stream, const float* weights, const void* x, DType type, float* out, std::int64_t rows, std::int64_t channels, std::int64_t points) {
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(channel_weighted_sum_kernel<T>, blocks_for(32 * rows * points), dim3(256), stream, weights, static_cast<const T*>(x), out, channels, points, rows * points);
  });
}
void interpolate(Stream& stream, const float* x, float* y, const Resampling& r) {
  const std::int64_t n = r.planes * r.out_rows * r.out_columns;
  launch(interpolate_kernel, blocks_for(n), dim3(256), stream, x, y, r, n);
}
void interpolate_backward(Stream& stream, const float* dy, float* dx, const Resampling& r) {
  const std::int64_t n = r.planes * r.in_rows * r.in_columns;
  launch(interpolate_backward_kernel, blocks_for(n), dim3(256), stream, dy, dx, r, n);
}

}  // namespace limpid::cuda::kernels
