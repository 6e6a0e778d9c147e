// Sources write a row's variant of the input straight from the two ends, patches gather what a cropped layer reads; reducers add rows in order, one thread an element, so that neither
// the cut into passes nor the scheduling shows. Bytes: sources the ends once (they stay in the caches) and the rows; reducers the rows and,
// once a pass, the sums.
#include <limpid/cuda/element.h>
#include <limpid/cuda/kernels/sweep.h>

namespace limpid::cuda::kernels {
namespace {

__global__ void advance_kernel(std::int64_t* first_row, std::int64_t chunk) { *first_row += chunk; }

template <class Ends, class T>
__global__ void path_points_kernel(const Ends* baseline, const Ends* input, const double* nodes, T* out, std::int64_t n, SweepRows rows) {
  const std::int64_t i = 8 * (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x);
  if (i >= n) return;
  const std::int64_t row = rows.at(blockIdx.y), start = row / rows.sweep * n;
  const auto alpha = static_cast<float>(nodes[row % rows.sweep]);
  Float8 v;
  T* to = out + static_cast<std::int64_t>(blockIdx.y) * n;
  if (n % 8 == 0) {
    const Float8 b = load8(baseline + start + i), x = load8(input + start + i);
    for (int k = 0; k < 8; ++k) v.v[k] = path_point(b.v[k], x.v[k], alpha);
    store8(to + i, v);
  } else {
    for (std::int64_t k = i; k < n && k < i + 8; ++k) to[k] = static_cast<T>(path_point(static_cast<float>(baseline[start + k]), static_cast<float>(input[start + k]), alpha));
  }
}

template <class T>
__global__ void occlude_windows_kernel(const float* input, const float* baseline, T* out, WindowGrid grid, RegionTable region, std::uint32_t packs, std::uint32_t items, SweepRows rows) {
  const std::uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= items) return;
  const std::int64_t row = rows.at(blockIdx.y), point = row % rows.sweep;
  const auto place = grid.at(point);
  const auto width = static_cast<std::uint32_t>(region.columns), at = i / packs;
  const std::int64_t y = region.top(point) + at / width, x = region.left(point) + at % width, channel = 8 * static_cast<std::int64_t>(i % packs);
  const std::int64_t from = ((row / rows.sweep * grid.row.extent + y) * grid.column.extent + x) * packs * 8 + channel;
  Float8 v = load8(input + from);
  if (grid.row.covers(place.row, y) && grid.column.covers(place.column, x)) {
    const Float8 b = load8(baseline + from);
    for (int k = 0; k < 8; ++k)
      if (grid.channel.covers(place.channel, channel + k)) v.v[k] = b.v[k];
  }
  store8(out + (static_cast<std::int64_t>(blockIdx.y) * items + i) * 8, v);
}

template <class T>
__global__ void ablate_features_kernel(const float* input, const float* baseline, Features f, T* out, std::uint32_t n, SweepRows rows) {
  const std::uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const std::int64_t row = rows.at(blockIdx.y), sample = row / rows.sweep, point = row % rows.sweep;
  std::int64_t element = i, from = sample * n + i;
  bool real = true;
  if (f.side_by_side) {
    const auto padded = static_cast<std::uint32_t>((f.channels + 7) / 8 * 8), width = static_cast<std::uint32_t>(f.region.columns), at = i / padded;
    const std::int64_t channel = i % padded, y = f.region.top(point) + at / width, x = f.region.left(point) + at % width;
    element = (channel * f.height + y) * f.width + x;
    from = ((sample * f.height + y) * f.width + x) * padded + channel;
    real = channel < f.channels;
  }
  const bool absent = real && f.groups[sample * f.pitch + element] == point;
  out[static_cast<std::int64_t>(blockIdx.y) * n + i] = static_cast<T>((absent ? baseline : input)[from]);
}

template <class T>
__global__ void patch_kernel(const T* crop, const T* full, T* out, Patch p, std::uint32_t packs, std::uint32_t items, SweepRows rows) {
  const std::uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= items) return;
  const std::int64_t row = rows.at(blockIdx.y), point = row % rows.sweep;
  const auto width = static_cast<std::uint32_t>(p.to.columns), at = i / packs, pack = i % packs;
  const std::int64_t y = p.to.top(point) + at / width, x = p.to.left(point) + at % width, top = p.from.top(point), left = p.from.left(point);
  Float8 v{};
  switch (patch_source(y, x, p.height, p.width, top, left, p.from.rows, p.from.columns)) {
    case PatchSource::crop: v = load8(crop + (((static_cast<std::int64_t>(blockIdx.y) * p.from.rows + y - top) * p.from.columns + x - left) * packs + pack) * 8); break;
    case PatchSource::full: v = load8(full + row / rows.sweep * p.full_pitch + ((y * p.width + x) * packs + pack) * 8); break;
    default:
      for (int k = 0; k < 8 && pack * 8 + static_cast<std::uint32_t>(k) < p.channels; ++k) v.v[k] = p.outside;
  }
  store8(out + (static_cast<std::int64_t>(blockIdx.y) * items + i) * 8, v);
}

template <class T>
__global__ void weighted_sum_kernel(const T* x, const double* weights, float* sums, std::int64_t n, SweepRows rows) {
  const std::int64_t i = thread_number();
  if (i >= n) return;
  const std::int64_t first = *rows.first_row, count = rows.valid();
  for (std::int64_t r = 0; r < count;) {
    const std::int64_t sample = (first + r) / rows.sweep, end = min(count, (sample + 1) * rows.sweep - first);
    float total = sums[sample * n + i];
    for (; r < end; ++r) total += static_cast<float>(weights[(first + r) % rows.sweep]) * static_cast<float>(x[r * n + i]);
    sums[sample * n + i] = total;
  }
}

/// The same for rows of whole packs.
template <class T>
__global__ void weighted_sum_packs_kernel(const T* x, const double* weights, float* sums, std::int64_t n, SweepRows rows) {
  const std::int64_t i = 8 * thread_number();
  if (i >= n) return;
  const std::int64_t first = *rows.first_row, count = rows.valid();
  for (std::int64_t r = 0; r < count;) {
    const std::int64_t sample = (first + r) / rows.sweep, end = min(count, (sample + 1) * rows.sweep - first);
    Float8 total = load8(sums + sample * n + i);
    for (; r < end; ++r) {
      const auto weight = static_cast<float>(weights[(first + r) % rows.sweep]);
      const Float8 v = load8(x + r * n + i);
      for (int k = 0; k < 8; ++k) total.v[k] += weight * v.v[k];
    }
    store8(sums + sample * n + i, total);
  }
}

__global__ void collect_kernel(const float* x, float* scores, SweepRows rows) {
  const std::int64_t r = thread_number();
  if (r < rows.valid()) scores[*rows.first_row + r] = x[r];
}

__global__ void scatter_windows_kernel(const float* base, const float* scores, float* out, WindowGrid grid, std::int64_t n) {
  const std::int64_t i = thread_number();
  if (i >= n) return;
  const std::int64_t x = i % grid.column.extent, y = i / grid.column.extent % grid.row.extent, c = i / grid.column.extent / grid.row.extent % grid.channel.extent;
  const std::int64_t sample = i / grid.column.extent / grid.row.extent / grid.channel.extent;
  const float* own = scores + sample * grid.count();
  double total = 0;
  std::int64_t covering = 0;
  for (auto wx = grid.column.first(x); wx < grid.column.last(x); ++wx)
    for (auto wy = grid.row.first(y); wy < grid.row.last(y); ++wy)
      for (auto wc = grid.channel.first(c); wc < grid.channel.last(c); ++wc, ++covering) total += static_cast<double>(base[sample]) - static_cast<double>(own[grid.index(wc, wy, wx)]);
  out[i] = covering ? static_cast<float>(total / static_cast<double>(covering)) : 0.f;
}

__global__ void scatter_features_kernel(const float* base, const float* scores, const std::int64_t* groups, std::int64_t groups_pitch, float* out, std::int64_t size, std::int64_t count, std::int64_t n) {
  const std::int64_t i = thread_number();
  if (i >= n) return;
  const std::int64_t sample = i / size;
  out[i] = base[sample] - scores[sample * count + groups[sample * groups_pitch + i % size]];
}

/// Where row r's index lies: its own, its sample's, or the one for all.
__device__ std::int64_t index_row(std::int64_t r, const SweepRows& rows) { return rows.first_row ? rows.at(r) / rows.sweep : r; }

__global__ void select_kernel(const float* x, const std::int64_t* index, std::int64_t index_pitch, float* out, std::int64_t count, std::int64_t size, SweepRows rows) {
  const std::int64_t r = thread_number();
  if (r < count) out[r] = x[r * size + index[index_row(r, rows) * index_pitch]];
}

__global__ void select_backward_kernel(const float* dy, const std::int64_t* index, std::int64_t index_pitch, float* dx, std::int64_t n, std::int64_t size, SweepRows rows) {
  const std::int64_t i = thread_number();
  if (i >= n) return;
  const std::int64_t r = i / size;
  dx[i] = i % size == index[index_row(r, rows) * index_pitch] ? dy[r] : 0.f;
}

/// One warp a row: lanes over the features, then a tree of shuffles.
__global__ void linear_row_kernel(const float* x, LinearRow w, float* out, std::int64_t count, SweepRows rows) {
  const std::int64_t r = thread_number() / 32;
  if (r >= count) return;
  const std::int64_t o = w.index[index_row(r, rows) * w.index_pitch];
  float total = 0;
  for (std::int64_t i = threadIdx.x % 32; i < w.features; i += 32) total += x[r * w.features + i] * w.weight[o * w.features + i];
  for (int offset = 16; offset > 0; offset /= 2) total += __shfl_down_sync(0xffffffffu, total, static_cast<unsigned>(offset));
  if (threadIdx.x % 32 == 0) out[r] = total + (w.bias ? w.bias[o] : 0.f);
}

__global__ void linear_row_backward_kernel(const float* dy, LinearRow w, float* dx, std::int64_t n, SweepRows rows) {
  const std::int64_t i = thread_number();
  if (i >= n) return;
  const std::int64_t r = i / w.features;
  dx[i] = dy[r] * w.weight[w.index[index_row(r, rows) * w.index_pitch] * w.features + i % w.features];
}

dim3 by_rows(std::int64_t items, const SweepRows& rows) {
  if (rows.chunk > 65535) fail(ErrorCode::invalid_argument, "cuda: a pass of ", rows.chunk, " sweep rows; 65535 are possible (internal_batch_size, --batch).");
  dim3 grid = blocks_for(items);
  grid.y = static_cast<unsigned>(rows.chunk);
  return grid;
}

}  // namespace

void advance(Stream& stream, std::int64_t* first_row, std::int64_t chunk) { launch(advance_kernel, dim3(1), dim3(1), stream, first_row, chunk); }

void path_points(Stream& stream, const PathEnds& ends, const double* nodes, void* out, DType type, std::int64_t n, const SweepRows& rows) {
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    if (ends.type == DType::f32)
      launch(path_points_kernel<float, T>, by_rows(packs(n), rows), dim3(256), stream, static_cast<const float*>(ends.baseline), static_cast<const float*>(ends.input), nodes, static_cast<T*>(out), n, rows);
    else
      launch(path_points_kernel<T, T>, by_rows(packs(n), rows), dim3(256), stream, static_cast<const T*>(ends.baseline), static_cast<const T*>(ends.input), nodes, static_cast<T*>(out), n, rows);
  });
}

void occlude_windows(Stream& stream, const float* input, const float* baseline, void* out, DType type, const WindowGrid& grid, const RegionTable& region, const SweepRows& rows) {
  const std::int64_t each = packs(grid.channel.extent), items = region.rows * region.columns * each;
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(occlude_windows_kernel<T>, by_rows(items, rows), dim3(256), stream, input, baseline, static_cast<T*>(out), grid, region, static_cast<std::uint32_t>(each), static_cast<std::uint32_t>(items), rows);
  });
}

void ablate_features(Stream& stream, const float* input, const float* baseline, const Features& features, void* out, DType type, const SweepRows& rows) {
  const std::int64_t n = features.side_by_side ? features.region.rows * features.region.columns * packs(features.channels) * 8 : features.channels;
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(ablate_features_kernel<T>, by_rows(n, rows), dim3(256), stream, input, baseline, features, static_cast<T*>(out), static_cast<std::uint32_t>(n), rows);
  });
}

void patch(Stream& stream, const void* crop, const void* full, void* out, DType type, const Patch& shape, const SweepRows& rows) {
  const std::int64_t each = packs(shape.channels), items = shape.to.rows * shape.to.columns * each;
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(patch_kernel<T>, by_rows(items, rows), dim3(256), stream, static_cast<const T*>(crop), static_cast<const T*>(full), static_cast<T*>(out), shape, static_cast<std::uint32_t>(each),
           static_cast<std::uint32_t>(items), rows);
  });
}

void weighted_sum(Stream& stream, const void* x, DType type, const double* weights, float* sums, std::int64_t n, const SweepRows& rows) {
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    if (n % 8 == 0) launch(weighted_sum_packs_kernel<T>, blocks_for(n / 8, 64), dim3(64), stream, static_cast<const T*>(x), weights, sums, n, rows);
    else launch(weighted_sum_kernel<T>, blocks_for(n, 64), dim3(64), stream, static_cast<const T*>(x), weights, sums, n, rows);
  });
}

void collect(Stream& stream, const float* x, float* scores, const SweepRows& rows) { launch(collect_kernel, blocks_for(rows.chunk), dim3(256), stream, x, scores, rows); }

void scatter_windows(Stream& stream, const float* base, const float* scores, float* out, std::int64_t samples, const WindowGrid& grid) {
  const std::int64_t n = samples * grid.channel.extent * grid.row.extent * grid.column.extent;
  launch(scatter_windows_kernel, blocks_for(n), dim3(256), stream, base, scores, out, grid, n);
}

void scatter_features(Stream& stream, const float* base, const float* scores, const std::int64_t* groups, std::int64_t groups_pitch, float* out, std::int64_t samples, std::int64_t size, std::int64_t count) {
  launch(scatter_features_kernel, blocks_for(samples * size), dim3(256), stream, base, scores, groups, groups_pitch, out, size, count, samples * size);
}

void select(Stream& stream, const float* x, const std::int64_t* index, std::int64_t index_pitch, float* out, std::int64_t count, std::int64_t size, const SweepRows* rows) {
  launch(select_kernel, blocks_for(count), dim3(256), stream, x, index, index_pitch, out, count, size, rows ? *rows : SweepRows{});
}

void select_backward(Stream& stream, const float* dy, const std::int64_t* index, std::int64_t index_pitch, float* dx, std::int64_t count, std::int64_t size, const SweepRows* rows) {
  launch(select_backward_kernel, blocks_for(count * size), dim3(256), stream, dy, index, index_pitch, dx, count * size, size, rows ? *rows : SweepRows{});
}

void linear_row(Stream& stream, const float* x, const LinearRow& w, float* out, std::int64_t count, const SweepRows* rows) {
  launch(linear_row_kernel, blocks_for(count * 32), dim3(256), stream, x, w, out, count, rows ? *rows : SweepRows{});
}

void linear_row_backward(Stream& stream, const float* dy, const LinearRow& w, float* dx, std::int64_t count, const SweepRows* rows) {
  launch(linear_row_backward_kernel, blocks_for(count * w.features), dim3(256), stream, dy, w, dx, count * w.features, rows ? *rows : SweepRows{});
}

}  // namespace limpid::cuda::kernels
