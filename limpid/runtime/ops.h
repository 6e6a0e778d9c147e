#pragma once
// The operations, as functions that append to the graph of their first argument. Shapes are per row ([C,H,W] for pictures).
// Every function throws invalid_argument, naming op and shapes, when the inputs do not fit.
#include <limpid/runtime/graph.h>

#include <array>

namespace limpid {

using Pair = std::array<std::int64_t, 2>;  // rows, columns

// conv2d.cpp
struct Conv2dOptions {
  Pair stride{1, 1}, padding_begin{0, 0}, padding_end{0, 0}, dilation{1, 1};
  std::int64_t groups = 1;
};
/// x [C,H,W], weight [O,C/groups,kh,kw], bias [O] or none -> [O,H',W'].
Value conv2d(Value x, Value weight, Value bias = {}, const Conv2dOptions& options = {});

// normalisation.cpp
/// Inference batch norm: (x - mean) / sqrt(var + epsilon) * weight + bias, each [C].
Value batch_norm(Value x, Value weight, Value bias, Value mean, Value var, double epsilon = 1e-5);

// activation.cpp
Value relu(Value x);
Value relu6(Value x);
/// 1 where the ReLU (or ReLU6) that gave y has a slope of one, else 0: an `index` value of y's shape. A backend packs it as it likes.
Value relu_mask(Value y, Activation kind);

// elementwise.cpp
Value add(Value a, Value b);
Value sub(Value a, Value b);
Value mul(Value a, Value b);
Value scale(Value x, double factor);
Value abs(Value x);
inline Value operator+(Value a, Value b) { return add(a, b); }
inline Value operator-(Value a, Value b) { return sub(a, b); }
inline Value operator*(Value a, Value b) { return mul(a, b); }

// pool.cpp
struct PoolOptions {
  Pair kernel{2, 2}, stride{2, 2}, padding{0, 0};
  bool count_include_pad = true;
};
Value max_pool(Value x, const PoolOptions& options);
Value avg_pool(Value x, const PoolOptions& options);
/// [C,H,W] -> [C]
Value global_avg_pool(Value x);

// linear.cpp
/// x [F], weight [O,F], bias [O] or none -> [O].
Value linear(Value x, Value weight, Value bias = {});
/// Element index[row] of linear(x, weight, bias) alone -> []. Index: an `index` value of shape [].
Value linear_row(Value x, Value weight, Value bias, Value index);
/// Over the last axis.
Value softmax(Value x);

// shape_ops.cpp
Value reshape(Value x, Shape shape);
/// Along the first axis of a row (channels).
Value concat(std::span<const Value> parts);
Value slice(Value x, std::int64_t begin, std::int64_t end);
/// [1,H,W] -> [C,H,W] and back by summing.
Value broadcast_channels(Value x, std::int64_t channels);
Value sum_channels(Value x);
/// The element at flat position index[row] of each row of x -> []. Index: an `index` value of shape [].
Value select(Value x, Value index);
/// The sum of each row, in f64 -> [].
Value sum(Value x);
/// A value like `like` in rows and shape, all `value`.
Value fill_like(Value like, double value);

// interpolate.cpp
/// [C,H,W] -> [C,rows,columns]; bilinear with align_corners = false.
Value interpolate(Value x, std::int64_t rows, std::int64_t columns, Interpolation mode);

// sweep.cpp: sources turn N rows into N*S, reducers turn them back
/// baseline + nodes[s] * (input - baseline); nodes: coefficients [S].
Value path_points(Value baseline, Value input, Value nodes);
/// The input with window s replaced by the baseline; S = grid.count().
Value occlude_windows(Value input, Value baseline, const WindowGrid& grid);
/// The input with the elements of group s replaced by the baseline; groups: index values of the input's shape, 0 <= group < count = S.
/// boxes: `count` rectangles that the groups lie in, if they are known; passes may then take the rest of the picture as unchanged.
Value ablate_features(Value input, Value baseline, Value groups, std::int64_t count, std::shared_ptr<const std::vector<Box>> boxes = {});
/// For each row of a sweep the rectangle `to` of a picture [C,H,W] of which that row changes the rectangle `from`: elements of `crop` [C,from.rows,
/// from.columns] where they lie in it, else of `full` (the unchanged picture of the sample), and `outside` beyond the picture -> [C,to.rows,to.columns].
Value patch(Value crop, Value full, const Regions& from, const Regions& to, double outside = 0);
/// sum over s of weights[s] * x[., s], accumulated in row order, in f32 or wider; weights: coefficients [S].
Value weighted_sum(Value x, Value weights);
/// Scalars of a sweep side by side: [] per sweep row -> [S] per sample.
Value collect(Value x);
/// For each element the mean, over the windows that cover it, of base - scores[window] (zero where none does) -> [C,H,W] of `grid`.
Value scatter_windows(Value base, Value scores, const WindowGrid& grid);
/// For each element base - scores[its group]; `like` gives rows and shape.
Value scatter_features(Value base, Value scores, Value groups);
/// sum over channels of weights[c] * x[c] -> [1,H,W]; the weighted combination of Grad-CAM (Selvaraju et al. 2017, equation 2).
Value channel_weighted_sum(Value weights, Value x);

/// The op objects, for passes and backends.
namespace ops {
extern const OpDef input, constant, conv2d, conv2d_backward_data, batch_norm, batch_norm_backward, activation, relu_mask, activation_backward, add, sub, mul, scale, abs,
    max_pool, max_pool_backward, avg_pool, avg_pool_backward, global_avg_pool, global_avg_pool_backward, linear, linear_backward, linear_row, linear_row_backward, softmax, softmax_backward,
    reshape, concat, slice, slice_backward, broadcast_channels, sum_channels, select, select_backward, sum, fill_like, interpolate, interpolate_backward,
    path_points, occlude_windows, ablate_features, patch, weighted_sum, collect, scatter_windows, scatter_features, channel_weighted_sum;
/// Every op above, for tests that go over all of them.
std::span<const OpDef* const> all();
}  // namespace ops

// Backward ops that rule books other than the plain one append themselves.
Value activation_backward(Value y, Value dy, Activation activation, ReluRule rule);

}  // namespace limpid
