// Every op's gradient rule against central differences, in f64; and the rule books.
#include <gtest/gtest.h>

#include "../support/graphs.h"

#include <set>

namespace limpid::testing {
namespace {

/// A differentiable function of one input, and the ops that it brings in.
struct Case {
  const char* name;
  Shape input;
  Value (*build)(Value x);
  double low = -1, high = 1;
};

Value c(Value x, Shape shape, unsigned seed, double low = -1, double high = 1) { return x.graph->constant(random_tensor(std::move(shape), seed, low, high)); }

const Case cases[] = {
    {"conv2d", {3, 7, 6}, [](Value x) { return conv2d(x, c(x, {4, 3, 3, 3}, 1), c(x, {4}, 2), {{1, 1}, {1, 1}, {1, 1}}); }},
    {"conv2d_stride_asymmetric", {2, 8, 7}, [](Value x) { return conv2d(x, c(x, {3, 2, 3, 5}, 1), {}, {{2, 3}, {0, 2}, {1, 1}}); }},
    {"conv2d_dilation", {2, 9, 9}, [](Value x) { return conv2d(x, c(x, {3, 2, 3, 3}, 1), {}, {{1, 2}, {2, 1}, {2, 2}, {2, 3}}); }},
    {"conv2d_groups", {6, 5, 5}, [](Value x) { return conv2d(x, c(x, {4, 3, 3, 3}, 1), {}, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 2}); }},
    {"conv2d_depthwise", {5, 6, 6}, [](Value x) { return conv2d(x, c(x, {5, 1, 3, 3}, 1), {}, {{2, 2}, {0, 0}, {1, 1}, {1, 1}, 5}); }},
    {"conv2d_backward_data", {4, 3, 3}, [](Value x) {
       Conv2dAttributes a;
       a.rows = a.columns = {3, 2, 1, 1, 1};
       a.in_rows = a.in_columns = 6;
       return x.graph->append(ops::conv2d_backward_data, {x, c(x, {4, 2, 3, 3}, 1)}, a);
     }},
    {"batch_norm", {3, 4, 4}, [](Value x) { return batch_norm(x, c(x, {3}, 1), c(x, {3}, 2), c(x, {3}, 3), c(x, {3}, 4, 0.5, 2), 1e-3); }},
    {"batch_norm_backward", {3, 4, 4}, [](Value x) { return x.graph->append(ops::batch_norm_backward, {x, c(x, {3}, 1), c(x, {3}, 4, 0.5, 2)}, BatchNormAttributes{1e-3}); }},
    {"relu", {3, 4, 4}, [](Value x) { return relu(x); }},
    {"relu6", {3, 4, 4}, [](Value x) { return relu6(x); }, -3, 9},
    {"add", {3, 4}, [](Value x) { return x + scale(x, 2); }},
    {"sub", {3, 4}, [](Value x) { return scale(x, 3) - x; }},
    {"mul", {3, 4}, [](Value x) { return x * scale(x, 2); }},
    {"max_pool", {2, 7, 8}, [](Value x) { return max_pool(x, {{3, 3}, {2, 2}, {1, 1}}); }},
    {"avg_pool", {2, 7, 8}, [](Value x) { return avg_pool(x, {{3, 2}, {2, 2}, {1, 0}, true}); }},
    {"avg_pool_exclude_pad", {2, 7, 8}, [](Value x) { return avg_pool(x, {{3, 3}, {2, 2}, {1, 1}, false}); }},
    {"global_avg_pool", {5, 3, 4}, [](Value x) { return global_avg_pool(x); }},
    {"linear", {6}, [](Value x) { return linear(x, c(x, {4, 6}, 1), c(x, {4}, 2)); }},
    {"linear_row", {6}, [](Value x) { return linear_row(x, c(x, {4, 6}, 1), c(x, {4}, 2), x.graph->constant(Tensor::full(Shape{}, 2, DType::i64))); }},
    {"softmax", {6}, [](Value x) { return softmax(x); }},
    {"reshape", {2, 3}, [](Value x) { return reshape(x, {6}); }},
    {"concat", {2, 3}, [](Value x) {
       const Value parts[] = {x, scale(x, 2), x};
       return concat(parts);
     }},
    {"slice", {5, 3}, [](Value x) { return slice(x, 1, 4); }},
    {"broadcast_channels", {1, 3, 2}, [](Value x) { return broadcast_channels(x, 4); }},
    {"sum_channels", {4, 3, 2}, [](Value x) { return sum_channels(x); }},
    {"interpolate_bilinear", {2, 3, 4}, [](Value x) { return interpolate(x, 7, 5, Interpolation::bilinear); }},
    {"interpolate_nearest", {2, 3, 4}, [](Value x) { return interpolate(x, 7, 9, Interpolation::nearest); }},
    {"residual_network", {3, 17, 15}, [](Value x) { return small_residual_network(x); }},
};

class GradientRule : public ::testing::TestWithParam<Case> {};

TEST_P(GradientRule, CentralDifferences) {
  const Case& test = GetParam();
  Graph g;
  const Value x = g.input("x", test.input);
  const Value y = test.build(x);
  // A random combination of the outputs makes them one scalar.
  const Value flat = reshape(y, {y.shape().numel()});
  const Value zero = g.input("zero", Shape{}, Rows::batch, Kind::index);
  const Value score = select(linear(flat, g.constant(random_tensor({1, y.shape().numel()}, 77))), zero);
  const Value slope = gradient(score, x);

  const std::int64_t n = test.input.numel();
  const Tensor at = random_tensor(test.input.with_outer(1), 5, test.low, test.high);
  const auto index = [](std::int64_t rows) { return Tensor(Shape{rows}, DType::i64); };
  const Tensor analytic = run({slope}, {at, index(1)}, on("reference", Precision::f64))[0];

  const double h = 1e-6;
  Tensor shifted(test.input.with_outer(2 * n), DType::f64);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t side = 0; side < 2; ++side) {
      double* row = shifted.data<double>() + (2 * i + side) * n;
      std::copy_n(at.data<double>(), n, row);
      row[i] += side ? h : -h;
    }
  const Tensor scores = run({score}, {shifted, index(2 * n)}, on("reference", Precision::f64))[0];
  for (std::int64_t i = 0; i < n; ++i) EXPECT_NEAR(analytic.at(i), (scores.at(2 * i + 1) - scores.at(2 * i)) / (2 * h), 1e-6) << "element " << i;
}

INSTANTIATE_TEST_SUITE_P(Ops, GradientRule, ::testing::ValuesIn(cases), [](const auto& i) { return std::string(i.param.name); });

TEST(GradientRule, EveryOpWithAGradientHasACase) {
  std::set<std::string_view> covered{"select", "select_backward"};  // select is in every case
  for (const Case& test : cases) {
    Graph g;
    const Value y = test.build(g.input("x", test.input));
    for (const Node& n : y.graph->nodes()) covered.insert(n.op->name);
  }
  covered.insert("slice_backward");  // not differentiable
  for (const OpDef* op : ops::all())
    if (op->gradient) {
      EXPECT_TRUE(covered.count(op->name)) << op->name;
    }
}

TEST(RuleBook, ReluRules) {
  // y = relu(x), score = sum of w * y: the three rules, by hand.
  Graph g;
  const Value x = g.input("x", {4});
  const Value zero = g.input("zero", Shape{}, Rows::batch, Kind::index);
  const Value score = select(linear(relu(x), g.constant(Tensor::from<double>({1, 4}, {1, -1, 1, -1}))), zero);
  const std::vector<Tensor> in{Tensor::from<double>({1, 4}, {2, 3, -2, -3}), Tensor(Shape{1}, DType::i64)};
  const auto slopes = [&](const RuleBook& rules) {
    const Tensor t = run({gradient(score, x, rules)}, in, on("reference", Precision::f64))[0];
    return std::vector<double>{t.at(0), t.at(1), t.at(2), t.at(3)};
  };
  EXPECT_EQ(slopes(RuleBook::plain()), (std::vector<double>{1, -1, 0, 0}));
  EXPECT_EQ(slopes(RuleBook::guided()), (std::vector<double>{1, 0, 0, 0}));
  EXPECT_EQ(slopes(RuleBook::deconvolution()), (std::vector<double>{1, 0, 1, 0}));
}

TEST(Gradient, AppendsOnlyWhatIsAskedFor) {
  Graph g;
  const Value x = g.input("x", {3, 16, 16});
  const Value zero = g.input("zero", Shape{}, Rows::batch, Kind::index);
  const Value y = small_residual_network(x);
  const Value score = select(y, zero);
  const auto before = g.nodes().size();
  gradient(score, g.at("last"));  // behind the last convolution: fill, select, linear, pool
  for (std::size_t i = before; i < g.nodes().size(); ++i) EXPECT_NE(g.nodes()[i].op->name, "conv2d_backward_data");
  EXPECT_EQ(g.nodes().size() - before, 4u);
}

TEST(Gradient, RefusesWhatCannotBe) {
  Graph g, other;
  const Value x = g.input("x", {4}), free = g.input("free", {4});
  EXPECT_THROW(gradient(relu(x), x), Error);  // not a scalar
  EXPECT_THROW(gradient(sum(x), x), Error);   // no rule
  const Value score = select(relu(x), g.input("zero", Shape{}, Rows::batch, Kind::index));
  EXPECT_THROW(gradient(score, free), Error);  // independent
  EXPECT_THROW(gradient(score, other.input("x", {4})), Error);
}

}  // namespace
}  // namespace limpid::testing
