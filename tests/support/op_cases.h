#pragma once
// One table of cases per op: how to build it, on which shapes, and how closely a backend must agree with the reference. It serves backends
// against the reference, gradients against finite differences, and cuts of the sweep.
#include <gtest/gtest.h>

#include "graphs.h"

#include <cmath>
#include <limits>

namespace limpid::testing {

struct CaseInput {
  Shape shape;
  Rows rows = Rows::batch;
  Kind kind = Kind::real;
  std::int64_t below = 1;  // index inputs: values in [0, below)
};

struct OpCase {
  std::string name;  // letters, digits and underscores
  std::vector<CaseInput> inputs;
  std::function<Value(std::span<const Value>)> build;
  bool differentiable = true;   // by input 0
  bool sweepable = true;        // every input may be a sweep
  const RuleBook& rules = RuleBook::plain();
  double f32 = 2e-5;            // largest difference allowed, as a part of the largest expected value
  double bf16 = 1.2e-2;         // of the same as root mean squares
  bool same_bits = true;        // whatever the cut of a sweep
};

inline void PrintTo(const OpCase& c, std::ostream* out) { *out << c.name; }

/// Random numbers that bf16 holds exactly, so that only the arithmetic differs between precisions.
inline Tensor exact(Shape shape, unsigned seed, double low = -1, double high = 1, DType dtype = DType::f32) {
  return random_tensor(std::move(shape), seed, low, high).to(DType::bf16).to(dtype);
}

/// A constant of the graph that `like` belongs to.
inline Value weights(Value like, Shape shape, unsigned seed = 7, double low = -1, double high = 1) { return like.graph->constant(exact(std::move(shape), seed, low, high)); }

/// A scalar a row that every element of y goes into with a weight of its own.
inline Value total(Value y, unsigned seed = 99) {
  const std::int64_t n = y.shape().numel();
  const Value flat = y.shape().rank() == 1 ? y : reshape(y, Shape{n});
  return select(linear(flat, weights(y, {1, n}, seed)), y.graph->constant(Tensor(Shape{}, DType::i64)));
}

/// In bf16 a rounding may move a unit across its kink, or another tap to the top: a whole gradient passes or stops.
constexpr double across_kinks = 8e-2;

enum class Variant { forward, gradient, sweep, sweep_gradient };

/// Those that a case has.
inline std::vector<Variant> variants(const OpCase& c) {
  std::vector<Variant> all{Variant::forward};
  if (c.differentiable) all.push_back(Variant::gradient);
  if (c.sweepable) all.push_back(Variant::sweep);
  if (c.sweepable && c.differentiable) all.push_back(Variant::sweep_gradient);
  return all;
}

inline const char* name_of(Variant v) {
  constexpr const char* names[] = {"forward", "gradient", "in a sweep", "gradient in a sweep"};
  return names[static_cast<int>(v)];
}

struct BuiltCase {
  std::unique_ptr<Graph> graph = std::make_unique<Graph>();
  std::vector<Value> outputs;
  std::vector<Tensor> inputs;
};

/// sweep: each real input becomes the path from a random baseline to it (of 5 points), and the op's results are summed with weights.
inline BuiltCase build(const OpCase& c, Variant variant, std::int64_t batch = 3) {
  constexpr std::int64_t points = 5;
  const bool sweep = variant == Variant::sweep || variant == Variant::sweep_gradient;
  BuiltCase b;
  Graph& g = *b.graph;
  const auto add = [&](const std::string& name, const Shape& shape, Rows rows, Kind kind, Tensor tensor) {
    b.inputs.push_back(std::move(tensor));
    return g.input(name, shape, rows, kind);
  };
  Value nodes, sums;
  if (sweep) {
    nodes = add("nodes", {points}, Rows::one, Kind::coefficient, Tensor::from<double>({points}, {0, 0.25, 0.5, 0.75, 1}));
    sums = add("weights", {points}, Rows::one, Kind::coefficient, exact({points}, 5, 0.5, 1, DType::f64));
  }
  std::vector<Value> values;
  unsigned seed = 20;
  for (const CaseInput& in : c.inputs) {
    const std::string name = "x" + std::to_string(values.size());
    const Shape full = in.rows == Rows::batch ? in.shape.with_outer(batch) : in.shape;
    Tensor tensor = in.kind == Kind::real ? exact(full, ++seed) : in.kind == Kind::coefficient ? exact(full, ++seed, 0, 1, DType::f64) : Tensor(full, DType::i64);
    if (in.kind == Kind::index)
      for (std::int64_t i = 0; i < tensor.numel(); ++i) tensor.data<std::int64_t>()[i] = (i * 7 + 1) % in.below;
    Value v = add(name, in.shape, in.rows, in.kind, std::move(tensor));
    if (sweep && in.kind == Kind::real) v = path_points(add(name + "_from", in.shape, Rows::batch, Kind::real, exact(full, ++seed)), v, nodes);
    values.push_back(v);
  }
  Value y = c.build(values);
  if (variant == Variant::gradient || variant == Variant::sweep_gradient) y = gradient(total(y), values.front(), c.rules);
  b.outputs = {sweep ? weighted_sum(y, sums) : y};
  return b;
}

inline std::vector<Tensor> run(const BuiltCase& b, const CompileOptions& options) { return run(b.outputs, b.inputs, options); }

/// The largest difference as a part of the largest expected magnitude.
inline double relative_difference(const Tensor& got, const Tensor& expected) {
  double largest = 1e-30;
  for (std::int64_t i = 0; i < expected.numel(); ++i) largest = std::max(largest, std::abs(expected.at(i)));
  return max_difference(got, expected) / largest;
}

/// The root mean square of the differences as a part of that of the expected values.
inline double rms_difference(const Tensor& got, const Tensor& expected) {
  EXPECT_EQ(got.shape(), expected.shape());
  double difference = 0, magnitude = 1e-60;
  for (std::int64_t i = 0; i < expected.numel(); ++i) {
    difference += (got.at(i) - expected.at(i)) * (got.at(i) - expected.at(i));
    magnitude += expected.at(i) * expected.at(i);
  }
  return std::sqrt(difference / magnitude);
}

/// conv2d of [C,rows,columns] with O outputs, bias and the given window.
inline OpCase conv_case(std::string name, Shape x, std::int64_t outs, Pair kernel, Conv2dOptions options, bool bias = true, double f32 = 2e-5) {
  const std::int64_t channels = x[0] / options.groups;
  OpCase c{std::move(name), {{x}}, [=](std::span<const Value> v) {
             return conv2d(v[0], weights(v[0], {outs, channels, kernel[0], kernel[1]}), bias ? weights(v[0], {outs}, 8) : Value{}, options);
           }};
  c.f32 = f32;
  c.same_bits = c.name.find("winograd") == std::string::npos;
  return c;
}

inline std::vector<OpCase> convolution_cases() {
  std::vector<OpCase> cases{
      conv_case("conv_plain", {5, 9, 11}, 7, {3, 3}, {{1, 1}, {1, 1}, {1, 1}}),
      conv_case("conv_no_bias", {16, 8, 8}, 16, {3, 3}, {{1, 1}, {1, 1}, {1, 1}}, false),
      conv_case("conv_point", {19, 6, 5}, 33, {1, 1}, {}),
      conv_case("conv_point_strided", {24, 7, 9}, 40, {1, 1}, {{2, 2}}),
      conv_case("conv_strided_asymmetric", {6, 11, 10}, 10, {3, 3}, {{2, 2}, {0, 1}, {1, 2}}),
      conv_case("conv_strides_differ", {9, 13, 12}, 12, {3, 5}, {{1, 3}, {1, 0}, {0, 2}}),
      conv_case("conv_dilated", {8, 14, 13}, 8, {3, 3}, {{1, 1}, {2, 2}, {2, 2}, {2, 2}}),
      conv_case("conv_dilated_strided", {4, 15, 16}, 6, {3, 3}, {{2, 2}, {2, 1}, {1, 2}, {2, 3}}),
      conv_case("conv_grouped", {6, 9, 9}, 9, {3, 3}, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 3}),
      conv_case("conv_grouped_by_four", {32, 8, 8}, 32, {3, 3}, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 8}),
      conv_case("conv_depthwise", {32, 10, 9}, 32, {3, 3}, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 32}),
      conv_case("conv_depthwise_5x5_asymmetric", {20, 12, 13}, 20, {5, 5}, {{2, 2}, {1, 1}, {2, 2}, {1, 1}, 20}),
      conv_case("conv_depthwise_multiplied", {12, 8, 7}, 24, {3, 3}, {{2, 2}, {1, 1}, {0, 1}, {1, 1}, 12}),
      conv_case("conv_stem", {3, 23, 21}, 16, {7, 7}, {{2, 2}, {3, 3}, {3, 3}}),
      conv_case("conv_stem_asymmetric", {3, 22, 24}, 32, {3, 3}, {{2, 2}, {0, 0}, {1, 1}}),
      conv_case("conv_stem_gray", {1, 17, 19}, 8, {4, 4}, {{4, 4}}),
      conv_case("conv_stem_wide_padding", {2, 12, 13}, 8, {5, 3}, {{2, 2}, {4, 2}, {4, 2}}),
      conv_case("conv_stem_skips_points", {3, 11, 12}, 6, {1, 1}, {{2, 2}}),
      conv_case("conv_patches", {3, 16, 16}, 24, {4, 4}, {{4, 4}}),
      conv_case("conv_padding_beyond_kernel", {4, 6, 6}, 5, {2, 2}, {{1, 1}, {2, 3}, {3, 2}}),
      // Channels in whole AMX tiles: every phase of a stride, planes of a strided picture, blocks that end within a picture.
      conv_case("conv_tiles", {32, 9, 7}, 64, {3, 3}, {{1, 1}, {1, 1}, {1, 1}}),
      conv_case("conv_tiles_strided", {64, 9, 12}, 96, {3, 3}, {{2, 2}, {1, 1}, {1, 1}}),
      conv_case("conv_tiles_point", {96, 7, 5}, 32, {1, 1}, {}),
      conv_case("conv_tiles_point_strided", {32, 9, 8}, 64, {1, 1}, {{2, 2}}),
      conv_case("conv_tiles_dilated_asymmetric", {32, 13, 14}, 32, {3, 5}, {{1, 2}, {0, 2}, {3, 1}, {2, 1}}),
      conv_case("conv_tiles_skip_points", {32, 11, 10}, 32, {2, 1}, {{3, 2}}),
      conv_case("conv_tiles_wide_padding", {32, 6, 5}, 32, {2, 2}, {{1, 1}, {2, 3}, {3, 2}}),
      conv_case("conv_winograd_own", {256, 7, 7}, 512, {3, 3}, {{1, 1}, {1, 1}, {1, 1}}, true, 1e-4),
      // Winograd in a sweep: its transforms cost two digits, and oneDNN blocks its sums by the number of rows.
      conv_case("conv_winograd", {32, 14, 15}, 48, {3, 3}, {{1, 1}, {1, 1}, {1, 1}}, true, 1e-4),
      conv_case("conv_winograd_of_a_crop", {32, 12, 14}, 48, {3, 3}, {}, true, 1e-4),
      conv_case("conv_winograd_no_padding", {32, 12, 13}, 32, {3, 3}, {}, true, 1e-4),
      conv_case("conv_winograd_7x8", {64, 7, 8}, 64, {3, 3}, {{1, 1}, {1, 1}, {1, 1}}, true, 1e-4),
      conv_case("conv_winograd_28", {64, 28, 28}, 64, {3, 3}, {{1, 1}, {1, 1}, {1, 1}}, true, 1e-4),
  };
  const auto fused = [&](std::string name, Shape x, std::int64_t outs, auto build, double f32 = 2e-5) {
    const Conv2dOptions same{{1, 1}, {1, 1}, {1, 1}};
    OpCase c{"conv_fused_" + name, {{x}, {Shape{outs, x[1], x[2]}}}, [=](std::span<const Value> v) {
               const auto conv = [=](Value in, unsigned seed = 7) { return conv2d(in, weights(in, {outs, in.shape()[0], 3, 3}, seed), weights(in, {outs}, 8), same); };
               return build(v[0], v[1], conv);
             }};
    c.f32 = f32;
    c.same_bits = f32 < 1e-4;
    c.bf16 = across_kinks;
    cases.push_back(std::move(c));
  };
  for (const auto& [suffix, x, outs, tolerance] : {std::tuple{"", Shape{10, 7, 9}, std::int64_t{12}, 2e-5}, std::tuple{"_tiles", Shape{32, 5, 7}, std::int64_t{32}, 2e-5}, std::tuple{"_winograd", Shape{32, 14, 14}, std::int64_t{32}, 1e-4},
                                                   std::tuple{"_winograd_own", Shape{128, 7, 9}, std::int64_t{128}, 1e-4}}) {
    fused(std::string("relu") + suffix, x, outs, [](Value a, Value, auto conv) { return relu(conv(a)); }, tolerance);
    fused(std::string("relu6") + suffix, x, outs, [](Value a, Value, auto conv) { return relu6(conv(a)); }, tolerance);
    fused(std::string("addend_dies") + suffix, x, outs, [](Value a, Value b, auto conv) { return relu(conv(a) + b); }, tolerance);
    fused(std::string("addend_lives") + suffix, x, outs, [](Value a, Value b, auto conv) { return relu(b + conv(a)) + b; }, tolerance);
    fused(std::string("addend_is_convolution") + suffix, x, outs, [](Value a, Value, auto conv) { return relu6(conv(a) + conv(a, 17)); }, tolerance);
    fused(std::string("residual") + suffix, Shape{outs, x[1], x[2]}, outs, [](Value, Value b, auto conv) { const Value r = relu(b); return relu(conv(relu(conv(r))) + r); }, tolerance);
    fused(std::string("addend_is_input") + suffix, Shape{outs, x[1], x[2]}, outs, [](Value a, Value, auto conv) { const Value r = relu(conv(a, 27)); return r + conv(r); }, tolerance);
  }
  for (OpCase& c : cases)
    if (c.name.starts_with("conv_fused_residual")) c.differentiable = false;  // by its first input, which it does not read
  return cases;
}

inline std::vector<OpCase> pooling_cases() {
  const auto pool = [](std::string name, Shape x, PoolOptions o, bool max) {
    return OpCase{std::move(name), {{x}}, [=](std::span<const Value> v) { return max ? max_pool(v[0], o) : avg_pool(v[0], o); }};
  };
  std::vector<OpCase> cases{
      pool("max_pool_stem", {20, 15, 16}, {{3, 3}, {2, 2}, {1, 1}}, true),
      pool("max_pool_halves", {16, 9, 8}, {{2, 2}, {2, 2}}, true),
      pool("max_pool_few_channels", {3, 8, 9}, {{3, 2}, {1, 2}, {1, 0}}, true),
      pool("avg_pool_with_padding", {18, 9, 10}, {{3, 3}, {2, 2}, {1, 1}, true}, false),
      pool("avg_pool_without_padding", {5, 9, 10}, {{3, 3}, {2, 2}, {1, 1}, false}, false),
      {"max_pool_after_relu", {{{16, 9, 9}}}, [](std::span<const Value> v) { return max_pool(relu(v[0]), {{3, 3}, {2, 2}, {1, 1}}); }},
      {"global_avg_pool_odd", {{{21, 7, 5}}}, [](std::span<const Value> v) { return global_avg_pool(v[0]); }},
      {"global_avg_pool_behind_convolution", {{{8, 7, 7}}}, [](std::span<const Value> v) { return global_avg_pool(relu(conv2d(v[0], weights(v[0], {21, 8, 3, 3})))); }},
      {"max_pool_behind_convolution", {{{8, 11, 9}}}, [](std::span<const Value> v) { return max_pool(relu(conv2d(v[0], weights(v[0], {21, 8, 3, 3}))), {{3, 3}, {2, 2}, {1, 1}}); }},
  };
  for (OpCase& c : cases) c.bf16 = across_kinks;
  return cases;
}

/// Elementwise ops on plain values and on the layout that a convolution leaves.
inline std::vector<OpCase> elementwise_cases() {
  std::vector<OpCase> cases;
  const auto both = [&](std::string name, auto op, bool differentiable = true, const RuleBook& rules = RuleBook::plain()) {
    OpCase plain{name, {{{5, 7, 3}}, {{5, 7, 3}}}, [=](std::span<const Value> v) { return op(v[0], v[1]); }, differentiable, true, rules};
    OpCase vectors{name + "_vectors", {{{37}}, {{37}}}, plain.build, differentiable, true, rules};
    OpCase behind{name + "_behind_convolution", {{{4, 7, 9}}, {{4, 7, 9}}}, [=](std::span<const Value> v) {
                    const auto conv = [](Value x, unsigned seed) { return conv2d(x, weights(x, {19, 4, 3, 3}, seed), weights(x, {19}, seed + 1)); };
                    return op(conv(v[0], 31), conv(v[1], 33));
                  }, differentiable, true, rules};
    for (OpCase* c : {&plain, &vectors, &behind}) cases.push_back(std::move(*c));
  };
  both("add", [](Value a, Value b) { return a + b; });
  both("add_to_itself", [](Value a, Value) { return a + a; });
  both("sub", [](Value a, Value b) { return a - b; });
  both("mul", [](Value a, Value b) { return a * b; });
  both("scale", [](Value a, Value) { return scale(a, -2.5); });
  both("abs", [](Value a, Value) { return abs(a); }, false);
  both("relu", [](Value a, Value) { return relu(a); });
  both("relu6", [](Value a, Value) { return relu6(scale(a, 4)); });
  for (const ReluRule rule : {ReluRule::plain, ReluRule::guided}) {
    const std::string suffix = rule == ReluRule::plain ? "" : "_guided";
    both("relu_mask" + suffix, [=](Value a, Value b) { return activation_backward(relu_mask(relu(a), Activation::relu), b, Activation::relu, rule); }, false);
    both("relu6_mask" + suffix, [=](Value a, Value b) { return activation_backward(relu_mask(relu6(scale(a, 9)), Activation::relu6), b, Activation::relu6, rule); }, false);
    cases.back().bf16 = 0.3;  // one unit in a hundred across its kink
  }
  both("relu_guided", [](Value a, Value b) { return relu(a) - relu(b) * relu(a); }, true, RuleBook::guided());
  both("relu_deconvolution", [](Value a, Value b) { return relu(a) - relu(b) * relu(a); }, true, RuleBook::deconvolution());
  both("relu_read_twice", [](Value a, Value b) { const Value y = relu(a); return y * b + scale(y, 3); });
  both("fill_like", [](Value a, Value) { return fill_like(a, 1.5); }, false);
  const auto norm = [](Value x) {
    const Shape c{x.shape()[0]};
    return batch_norm(x, weights(x, c, 41, 0.5, 1.5), weights(x, c, 42), weights(x, c, 43), weights(x, c, 44, 0.5, 2));
  };
  both("batch_norm", [=](Value a, Value) { return norm(a); });
  both("batch_norm_not_folded", [=](Value a, Value b) { return norm(relu(a)) + b; });
  for (OpCase& c : cases) c.bf16 = std::max(c.bf16, across_kinks);
  return cases;
}

inline std::vector<OpCase> shape_cases() {
  const auto unary = [](std::string name, Shape x, auto op, bool differentiable = true) { return OpCase{std::move(name), {{x}}, [=](std::span<const Value> v) { return op(v[0]); }, differentiable}; };
  std::vector<OpCase> cases{
      unary("linear", {37}, [](Value x) { return linear(x, weights(x, {11, 37}), weights(x, {11}, 8)); }),
      unary("linear_no_bias", {64}, [](Value x) { return linear(x, weights(x, {10, 64})); }),
      {"linear_row", {{{37}}, {Shape{}, Rows::batch, Kind::index, 11}}, [](std::span<const Value> v) { return linear_row(v[0], weights(v[0], {11, 37}), weights(v[0], {11}, 8), v[1]); }},
      {"linear_row_no_bias", {{{64}}, {Shape{}, Rows::one, Kind::index, 10}}, [](std::span<const Value> v) { return linear_row(v[0], weights(v[0], {10, 64}), {}, v[1]); }},
      {"linear_row_f16", {{{40}}, {Shape{}, Rows::batch, Kind::index, 5}},
       [](std::span<const Value> v) { return linear_row(v[0], v[0].graph->constant(exact({5, 40}, 7).to(DType::f16)), v[0].graph->constant(exact({5}, 8).to(DType::f16)), v[1]); }},
      unary("softmax", {13}, [](Value x) { return softmax(scale(x, 3)); }),
      unary("reshape", {6, 5, 4}, [](Value x) { return reshape(x, {8, 15}); }),
      unary("reshape_behind_convolution", {4, 5, 4}, [](Value x) { return reshape(conv2d(x, weights(x, {18, 4, 3, 3})), {18 * 3 * 2}); }),
      unary("slice", {20, 5, 4}, [](Value x) { return slice(x, 3, 19); }),
      unary("slice_behind_convolution", {4, 5, 4}, [](Value x) { return slice(conv2d(x, weights(x, {33, 4, 1, 1})), 16, 32); }),
      unary("broadcast_channels", {1, 5, 4}, [](Value x) { return broadcast_channels(x, 6); }),
      unary("sum_channels", {9, 5, 4}, [](Value x) { return sum_channels(x); }),
      unary("sum", {9, 5, 4}, [](Value x) { return sum(x); }, false),
      unary("interpolate_nearest", {5, 6, 4}, [](Value x) { return interpolate(x, 13, 8, Interpolation::nearest); }),
      unary("interpolate_bilinear", {5, 6, 4}, [](Value x) { return interpolate(x, 13, 9, Interpolation::bilinear); }),
      unary("interpolate_down", {5, 9, 11}, [](Value x) { return interpolate(x, 4, 5, Interpolation::bilinear); }),
      {"concat", {{{3, 5, 4}}, {{6, 5, 4}}}, [](std::span<const Value> v) { return concat(std::array{v[0], v[1], v[0]}); }},
      {"concat_behind_convolution", {{{3, 5, 4}}, {{6, 5, 4}}}, [](std::span<const Value> v) { return concat(std::array{conv2d(v[0], weights(v[0], {17, 3, 1, 1})), v[1]}); }},
      {"select", {{{17}}, {Shape{}, Rows::batch, Kind::index, 17}}, [](std::span<const Value> v) { return select(v[0], v[1]); }},
      {"channel_weighted_sum", {{{19}}, {{19, 4, 5}}}, [](std::span<const Value> v) { return channel_weighted_sum(v[0], v[1]); }, false},
  };
  for (OpCase& c : cases)
    if (c.name.starts_with("linear_row")) c.bf16 = 4e-2;  // one number, of points rounded to bf16
  return cases;
}

/// Sources and reducers bring their own sweep.
inline std::vector<OpCase> sweep_cases() {
  const auto source = [](std::string name, std::vector<CaseInput> inputs, auto build) { return OpCase{std::move(name), std::move(inputs), build, false, false}; };
  const WindowGrid grid{{3, 1, 3}, {4, 3, 11}, {5, 2, 9}}, channels{{2, 1, 3}, {4, 4, 11}, {9, 9, 9}};
  const CaseInput image{{3, 11, 9}}, base{Shape{}}, weights7{{7}, Rows::one, Kind::coefficient};
  const auto score = [](Value x) { return total(relu(conv2d(x, weights(x, {18, 3, 3, 3})))); };
  std::vector<OpCase> cases{
      source("path_points_and_weighted_sum", {image, image, weights7, weights7}, [](std::span<const Value> v) { return weighted_sum(path_points(v[0], v[1], v[2]), v[3]); }),
      source("path_points_of_vectors", {{{23}}, {{23}}, weights7, weights7}, [](std::span<const Value> v) { return weighted_sum(path_points(v[0], v[1], v[2]), v[3]); }),
      source("weighted_sum_behind_convolution", {image, image, weights7, weights7},
             [](std::span<const Value> v) { return weighted_sum(conv2d(path_points(v[0], v[1], v[2]), weights(v[0], {18, 3, 3, 3})), v[3]); }),
      source("weighted_sum_of_scalars", {image, image, weights7, weights7}, [=](std::span<const Value> v) { return weighted_sum(score(path_points(v[0], v[1], v[2])), v[3]); }),
      source("ablate_features_and_scatter", {image, image, {{3, 11, 9}, Rows::batch, Kind::index, 6}, base},
             [=](std::span<const Value> v) { return scatter_features(v[3], collect(score(ablate_features(v[0], v[1], v[2], 6))), v[2]); }),
      source("ablate_features_mask_for_all", {image, image, {{3, 11, 9}, Rows::one, Kind::index, 6}}, [=](std::span<const Value> v) { return collect(score(ablate_features(v[0], v[1], v[2], 6))); }),
  };
  for (const auto& [name, g] : {std::pair{"occlude_windows_and_scatter", grid}, std::pair{"occlude_windows_by_channels", channels}})
    cases.push_back(source(name, {image, image, base}, [=](std::span<const Value> v) { return scatter_windows(v[2], collect(score(occlude_windows(v[0], v[1], g))), g); }));
  // Patches that begin before, end behind and hold the crops, in the layouts of an image and of a network's pictures.
  const auto regions = [](std::int64_t rows, std::int64_t columns, std::int64_t down, std::int64_t right, std::int64_t top, std::int64_t left) {
    auto origins = std::make_shared<std::vector<std::array<std::int32_t, 2>>>();
    for (std::int64_t w = 0; w < 9; ++w) origins->push_back({static_cast<std::int32_t>(top + w % 3 * down), static_cast<std::int32_t>(left + w / 3 * right)});
    return Regions{rows, columns, std::move(origins)};
  };
  const WindowGrid nine{{3, 3, 3}, {5, 3, 11}, {5, 2, 9}};
  const Regions windows = regions(5, 5, 3, 2, 0, 0), wider = regions(9, 8, 4, 3, -3, -2), within = regions(2, 3, 3, 2, 1, 1), apart = regions(4, 4, 3, 3, 2, -6);
  for (const auto& [name, to, depth, outside] : {std::tuple{"", wider, std::int64_t{3}, 0.0}, std::tuple{"_within", within, std::int64_t{3}, 0.0}, std::tuple{"_apart", apart, std::int64_t{3}, 0.5},
                                                    std::tuple{"_of_blocks", wider, std::int64_t{32}, 0.0}, std::tuple{"_of_part_blocks", wider, std::int64_t{19}, -0.5}, std::tuple{"_of_depthwise", apart, std::int64_t{8}, 0.0}})
    cases.push_back(source(std::string("patch") + name, {image, image}, [=](std::span<const Value> v) {
      const Value occluded = v[0].graph->append(ops::occlude_windows, {v[0], v[1]}, WindowAttributes{nine, windows});
      const auto deep = [&](Value x) { return depth == 3 ? x : relu(conv2d(x, weights(x, {depth, 3, 1, 1}))); };
      return collect(total(patch(deep(occluded), deep(v[0]), windows, to, outside)));
    }));
  cases.push_back(source("patch_of_minus_infinity", {image, image}, [=](std::span<const Value> v) {
    const Value occluded = v[0].graph->append(ops::occlude_windows, {v[0], v[1]}, WindowAttributes{nine, windows});
    const auto deep = [&](Value x) { return conv2d(x, weights(x, {19, 3, 1, 1})); };
    const Value pooled = max_pool(patch(deep(occluded), deep(v[0]), windows, regions(5, 5, 3, 2, -1, -1), -std::numeric_limits<double>::infinity()), {{3, 3}, {1, 1}});
    return collect(total(conv2d(pooled, weights(v[0], {5, 19, 1, 1}))));
  }));
  cases.push_back(source("ablate_features_in_regions", {image, image, {{3, 11, 9}, Rows::batch, Kind::index, 9}}, [=](std::span<const Value> v) {
    return collect(total(v[0].graph->append(ops::ablate_features, {v[0], v[1], v[2]}, AblationAttributes{9, {}, windows})));
  }));
  for (OpCase& c : cases) c.bf16 = 4e-2;  // differences of scores
  return cases;
}

inline std::vector<OpCase> op_cases() {
  std::vector<OpCase> all;
  for (auto part : {convolution_cases, pooling_cases, elementwise_cases, shape_cases, sweep_cases})
    for (OpCase& c : part()) all.push_back(std::move(c));
  return all;
}

}  // namespace limpid::testing
