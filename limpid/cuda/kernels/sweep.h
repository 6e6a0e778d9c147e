#pragma once
// The sweep axis on the device: sources, reducers and what follows them. Which rows a pass computes is read from device memory, so that
// one captured graph serves every pass.
#include <limpid/cuda/outside.h>
#include <limpid/cuda/kernels/pool.h>

namespace limpid::cuda::kernels {

/// The rows of one pass: first_row .. first_row + chunk of `total` = samples * sweep.
struct SweepRows {
  const std::int64_t* first_row;  // on the device
  std::int64_t total, sweep, chunk;

  /// The row of the whole sweep that row r of the pass is; a short last pass repeats the last.
  LIMPID_HD std::int64_t at(std::int64_t r) const {
    const std::int64_t row = *first_row + r;
    return row < total ? row : total - 1;
  }
  /// Rows of the pass that count.
  LIMPID_HD std::int64_t valid() const {
    const std::int64_t left = total - *first_row;
    return left < chunk ? left : chunk;
  }
};

/// *first_row += chunk, behind a pass.
void advance(Stream& stream, std::int64_t* first_row, std::int64_t chunk);

/// out[r] = path point of sample r / sweep at nodes[r % sweep]; n elements a row, in whatever layout all three share. type: of `out`;
/// ends: f32, or the same as out.
struct PathEnds {
  const void *baseline, *input;
  DType type;
};
void path_points(Stream& stream, const PathEnds& ends, const double* nodes, void* out, DType type, std::int64_t n, const SweepRows& rows);

/// The hoisted start of a network in one pass: activation and max pooling of path points that are never stored. shape.images = rows.chunk;
/// a tap that lies where the activation is flat is recorded as none, so that the way back needs no mask.
void path_pool(Stream& stream, const PathEnds& ends, const double* nodes, Activation activation, void* y, void* taps, DType type, const PoolShape& shape, const SweepRows& rows);
/// The way back: sums[sample] += weights[s] * (gradient of path_pool's points for dy), f32, in row order. sums: [samples, in rows, in columns, channels].
void path_pool_backward(Stream& stream, const void* taps, const void* dy, const double* weights, float* sums, DType type, const PoolShape& shape, const SweepRows& rows);

/// The rectangle of a picture that belongs to each point of the sweep: one size, an origin (row, column) each; null: the whole picture.
struct RegionTable {
  const std::int32_t* origins;  // [sweep, 2], on the device
  std::int64_t rows, columns;
  LIMPID_HD std::int64_t top(std::int64_t point) const { return origins ? origins[2 * point] : 0; }
  LIMPID_HD std::int64_t left(std::int64_t point) const { return origins ? origins[2 * point + 1] : 0; }
};

/// The regions of pictures [points, padded channels]; input and baseline f32 pictures, one a sample.
void occlude_windows(Stream& stream, const float* input, const float* baseline, void* out, DType type, const WindowGrid& grid, const RegionTable& region, const SweepRows& rows);
/// groups: plain [channels, height, width], one a sample (pitch > 0) or one for all (0). side_by_side: input, baseline and out are pictures;
/// else plain, whole, and channels is all there is.
struct Features {
  const std::int64_t* groups;
  std::int64_t pitch, channels, height, width;
  RegionTable region;
  bool side_by_side;
};
void ablate_features(Stream& stream, const float* input, const float* baseline, const Features& features, void* out, DType type, const SweepRows& rows);

/// out[r]: the rectangle `to` of a picture [height, width, padded channels] whose rectangle `from` row r changes: of `crop` where it lies in that,
/// of `full` elsewhere in the picture, `outside` beyond it. full_pitch: elements from sample to sample; 0: one for all.
struct Patch {
  RegionTable from, to;
  std::int64_t channels, height, width, full_pitch;
  float outside;
};
void patch(Stream& stream, const void* crop, const void* full, void* out, DType type, const Patch& shape, const SweepRows& rows);

/// sums[sample] += weights[s] * x[row], n elements a row, f32, in row order.
void weighted_sum(Stream& stream, const void* x, DType type, const double* weights, float* sums, std::int64_t n, const SweepRows& rows);
/// scores[first_row + r] = x[r].
void collect(Stream& stream, const float* x, float* scores, const SweepRows& rows);

/// base [samples], scores [samples, windows] -> plain [samples, channels, rows, columns]; sums in f64.
void scatter_windows(Stream& stream, const float* base, const float* scores, float* out, std::int64_t samples, const WindowGrid& grid);
void scatter_features(Stream& stream, const float* base, const float* scores, const std::int64_t* groups, std::int64_t groups_pitch, float* out, std::int64_t samples, std::int64_t size, std::int64_t count);

/// out[r] = x[r, index[row of r]]; rows null: the index lies row by row (or is one for all, pitch 0).
void select(Stream& stream, const float* x, const std::int64_t* index, std::int64_t index_pitch, float* out, std::int64_t count, std::int64_t size, const SweepRows* rows);
/// dx[r] = dy[r] at index, else 0.
void select_backward(Stream& stream, const float* dy, const std::int64_t* index, std::int64_t index_pitch, float* dx, std::int64_t count, std::int64_t size, const SweepRows* rows);

/// A matrix [.., features] of which each row of x takes the row that its index names; rows as for select.
struct LinearRow {
  const float *weight, *bias;  // bias: null for none
  const std::int64_t* index;
  std::int64_t index_pitch, features;
};
/// out[r] = dot(x[r], weight[index]) + bias[index], and dx[r] = dy[r] * weight[index].
void linear_row(Stream& stream, const float* x, const LinearRow& w, float* out, std::int64_t count, const SweepRows* rows);
void linear_row_backward(Stream& stream, const float* dy, const LinearRow& w, float* dx, std::int64_t count, const SweepRows* rows);

}  // namespace limpid::cuda::kernels
