// Each pass does what it says, and the answer does not depend on which passes ran.
#include <gtest/gtest.h>

#include "../support/graphs.h"

#include <set>

namespace limpid::testing {
namespace {

int count(const Graph& g, const OpDef& op) {
  int n = 0;
  for (const Node& node : g.nodes()) n += node.op == &op;
  return n;
}

/// The small residual network's score and its gradient.
struct Network {
  Graph graph;
  Value x = graph.input("x", {3, 19, 16});
  Value zero = graph.input("target", Shape{}, Rows::batch, Kind::index);
  Value score = select(small_residual_network(x), zero);
  Value slope = gradient(score, x);
  std::vector<int> outputs{score.id, slope.id};
};

TEST(FoldBatchNorm, LeavesNoneForwardOrBackward) {
  Network n;
  ASSERT_EQ(count(n.graph, ops::batch_norm), 5);
  ASSERT_EQ(count(n.graph, ops::batch_norm_backward), 5);
  const auto folded = passes::fold_batch_norm(n.graph, n.outputs, DType::f64);
  EXPECT_EQ(count(*folded, ops::batch_norm), 0);
  EXPECT_EQ(count(*folded, ops::batch_norm_backward), 0);
  EXPECT_EQ(count(*folded, ops::conv2d), 5);
  EXPECT_EQ(count(*folded, ops::conv2d_backward_data), 5);
}

TEST(FoldBatchNorm, SparesAConvolutionThatSomethingElseReads) {
  Graph g;
  const Value x = g.input("x", {2, 4, 4});
  const auto one = [&] { return g.constant(Tensor::full({2}, 1)); };
  const Value conv = conv2d(x, g.constant(random_tensor({2, 2, 1, 1}, 1)));
  const Value norm = batch_norm(conv, one(), one(), one(), one());
  std::vector<int> outputs{norm.id, conv.id};
  EXPECT_EQ(count(*passes::fold_batch_norm(g, outputs, DType::f32), ops::batch_norm), 1);
}

TEST(FoldBatchNorm, SharesFoldedWeightsBetweenGraphs) {
  Network a;
  std::vector<int> first = a.outputs, second = a.outputs;
  const auto x = passes::fold_batch_norm(a.graph, first, DType::f32), y = passes::fold_batch_norm(a.graph, second, DType::f32);
  const auto weight = [](const Graph& g) {
    for (const Node& n : g.nodes())
      if (n.op == &ops::conv2d) return g.constant_tensor(n.inputs[1]).raw();
    return static_cast<const void*>(nullptr);
  };
  EXPECT_EQ(weight(*x), weight(*y));
}

TEST(FuseConvolution, TakesAddendAndActivation) {
  Network n;
  auto graph = passes::fold_batch_norm(n.graph, n.outputs, DType::f64);
  graph = passes::fuse_convolution(*graph, n.outputs);
  EXPECT_EQ(count(*graph, ops::activation), 0);
  EXPECT_EQ(count(*graph, ops::conv2d), 5);
  int addends = 0;
  for (const Node& node : graph->nodes()) addends += node.op == &ops::conv2d && node.has_input(3);
  EXPECT_EQ(addends, 2);
}

TEST(FuseReluBackward, TakesTheSumOfTwoGradients) {
  Network n;
  const int adds = count(n.graph, ops::add);
  const auto graph = passes::fuse_relu_backward(n.graph, n.outputs);
  EXPECT_LT(count(*graph, ops::add), adds);
}

TEST(SumBeforeLinear, LeavesOneTransposedConvolutionOutsideTheSweep) {
  Graph g;
  const Value x = g.input("x", {3, 16, 16}), baseline = g.input("baseline", {3, 16, 16}), target = g.input("target", Shape{}, Rows::batch, Kind::index);
  const Value nodes = g.input("nodes", {4}, Rows::one, Kind::coefficient), weights = g.input("weights", {4}, Rows::one, Kind::coefficient);
  const Value points = path_points(baseline, x, nodes);
  std::vector<int> outputs{weighted_sum(gradient(select(small_residual_network(points), target), points), weights).id};
  const auto graph = passes::sum_before_linear(g, outputs);
  const Node& last = graph->producer(outputs[0]);
  EXPECT_EQ(last.op, &ops::conv2d_backward_data);
  EXPECT_EQ(graph->value(outputs[0]).rows, Rows::batch);
  EXPECT_EQ(count(*graph, ops::weighted_sum), 1);
  EXPECT_EQ(count(*graph, ops::conv2d_backward_data), 5);
}

/// A sweep over path points that `build` turns into a value per point, and that value's weighted sum.
struct PathSweep {
  Graph graph;
  Value x = graph.input("x", {3, 16, 16}), baseline = graph.input("baseline", {3, 16, 16});
  Value nodes = graph.input("nodes", {4}, Rows::one, Kind::coefficient), weights = graph.input("weights", {4}, Rows::one, Kind::coefficient);
  Value points = path_points(baseline, x, nodes);
  std::vector<Tensor> inputs{random_tensor({2, 3, 16, 16}, 3), random_tensor({2, 3, 16, 16}, 4), Tensor::from<double>({4}, {0.1, 0.4, 0.6, 1}), Tensor::from<double>({4}, {0.3, 0.1, 0.2, 0.4})};
  Value constant(Shape s, unsigned seed, double low = -0.5) { return graph.constant(random_tensor(std::move(s), seed, low, 0.5)); }

  /// The graph after the pass; checks that it gives what the unchanged one does.
  std::unique_ptr<Graph> hoisted(Value y) {
    std::vector<int> outputs{weighted_sum(y, weights).id};
    const Value sum = graph.handle(outputs[0]);
    CompileOptions off = on("reference", Precision::f64), hoist = off;
    off.passes = {false, false, false, false, false, false, false, false, false};
    hoist.passes = off.passes;
    hoist.passes.hoist_linear = true;
    EXPECT_LT(max_difference(run({sum}, inputs, off)[0], run({sum}, inputs, hoist)[0]), 1e-12);
    return passes::hoist_linear(graph, outputs);
  }
};

int sweep_nodes(const Graph& g) {
  int n = 0;
  for (const Node& node : g.nodes()) n += !node.outputs.empty() && g.value(node.outputs[0]).rows == Rows::sweep;
  return n;
}

TEST(HoistLinear, TakesAnAffinePrefixOfAnyOpsOutOfTheSweep) {
  PathSweep s;
  Value y = conv2d(s.points, s.constant({8, 3, 3, 3}, 1), s.constant({8}, 2), {{2, 2}, {1, 1}, {1, 1}});
  y = batch_norm(y, s.constant({8}, 3), s.constant({8}, 4), s.constant({8}, 5), s.constant({8}, 6, 0.1));
  y = avg_pool(y, {{3, 3}, {2, 2}, {1, 1}, false});
  y = interpolate(scale(slice(y, 2, 7), -1.5), 7, 5, Interpolation::bilinear);
  const Value parts[] = {y, y + scale(y, 2), sum_channels(y)};
  y = global_avg_pool(concat(parts));
  y = linear(reshape(y, {11}), s.constant({6, 11}, 7), s.constant({6}, 8));
  EXPECT_EQ(sweep_nodes(*s.hoisted(y)), 1);  // the points of the last value, for the sum
}

TEST(HoistLinear, StopsAtABendAndKeepsWhatItReads) {
  PathSweep s;
  const Value y = conv2d(s.points, s.constant({8, 3, 3, 3}, 1)), z = relu(y);
  const auto graph = s.hoisted(conv2d(z + y, s.constant({4, 8, 1, 1}, 2)));
  EXPECT_EQ(count(*graph, ops::path_points), 1);
  EXPECT_EQ(sweep_nodes(*graph), 4);  // points, relu, add, convolution
}

TEST(HoistLinear, StartsInTheMiddleOfANetwork) {  // two paths of a part: the convolution and the shortcut
  PathSweep s;
  const Value bent = relu(conv2d(s.points, s.constant({8, 3, 3, 3}, 1)) + conv2d(s.points, s.constant({8, 3, 3, 3}, 2)));
  const auto graph = s.hoisted(bent);
  EXPECT_EQ(sweep_nodes(*graph), 2);  // points of the sum, relu
  EXPECT_EQ(count(*graph, ops::conv2d), 4);
}

TEST(HoistLinear, LeavesProductsAndOtherPathsAlone) {
  PathSweep s;
  const Value other = path_points(s.x, s.baseline, s.graph.input("others", {4}, Rows::one, Kind::coefficient));
  s.inputs.push_back(Tensor::from<double>({4}, {0.2, 0.3, 0.9, 0}));
  EXPECT_EQ(sweep_nodes(*s.hoisted(s.points * s.points)), 2);
  EXPECT_EQ(sweep_nodes(*s.hoisted(s.points + other)), 3);
}

TEST(KeepMasks, LetsTheOutputsDie) {
  Network n;
  auto graph = passes::fuse_convolution(*passes::fold_batch_norm(n.graph, n.outputs, DType::f64), n.outputs);
  const int backward = count(*graph, ops::activation_backward);
  graph = passes::keep_masks(*graph, n.outputs);
  EXPECT_EQ(count(*graph, ops::relu_mask), 4);  // one a ReLU
  EXPECT_EQ(count(*graph, ops::activation_backward), backward);
  for (const Node& node : graph->nodes()) {
    if (node.op == &ops::activation_backward) {
      EXPECT_EQ(graph->value(node.inputs[0]).kind, Kind::index);
    }
    if (node.op == &ops::relu_mask) {
      EXPECT_EQ(graph->value(node.outputs[0]).node, graph->value(node.inputs[0]).node + 1);  // right behind its producer
    }
  }
}

TEST(KeepMasks, KeepsNothingForDeconvolution) {
  Graph g;
  const Value x = g.input("x", {3, 19, 16}), target = g.input("target", Shape{}, Rows::batch, Kind::index);
  std::vector<int> outputs{gradient(select(small_residual_network(x), target), x, RuleBook::deconvolution()).id};
  const auto graph = passes::keep_masks(g, outputs);
  EXPECT_EQ(count(*graph, ops::relu_mask), 0);
  for (const Node& node : graph->nodes())
    if (node.op == &ops::activation_backward) {
      EXPECT_EQ(node.inputs[0], node.inputs[1]);
    }
}

bool is_backward(const OpDef& op) { return op.name.ends_with("_backward") || op.name.ends_with("_backward_data"); }

TEST(ClosedForm, LeavesGradCamAtTheLastBlockNoPassBack) {
  Network n;
  const Value last = n.graph.at("last");
  std::vector<int> outputs{n.score.id, channel_weighted_sum(global_avg_pool(gradient(n.score, last)), last).id};
  const auto graph = passes::run_all(n.graph, outputs, {}, DType::f64);
  for (const Node& node : graph->nodes()) {
    EXPECT_TRUE(!is_backward(*node.op) || node.op == &ops::linear_row_backward) << node.op->name;
  }
  EXPECT_EQ(count(*graph, ops::linear_row_backward), 1);  // a row of the weights
  EXPECT_EQ(count(*graph, ops::global_avg_pool), 1);      // the network's own
  EXPECT_EQ(count(*graph, ops::linear), 0);
  EXPECT_EQ(count(*graph, ops::relu_mask), 0);
}

TEST(ClosedForm, KeepsLogitsThatSomethingElseReads) {
  for (const bool output : {false, true}) {
    Network n;
    const Value logits = n.graph.handle(n.graph.producer(n.score.id).inputs[0]);
    std::vector<int> outputs{n.score.id, n.slope.id, output ? logits.id : softmax(logits).id};
    const auto graph = passes::closed_form(n.graph, outputs);
    EXPECT_EQ(count(*graph, ops::linear), 1);
    EXPECT_EQ(count(*graph, ops::select), 1);
    EXPECT_EQ(count(*graph, ops::linear_row), 0);
    EXPECT_EQ(count(*graph, ops::linear_backward), 0);  // the gradient does not need them
    EXPECT_EQ(count(*graph, ops::linear_row_backward), 1);
  }
}

TEST(ClosedForm, TakesARowForEachTarget) {
  Network n;
  const Value other = n.graph.input("other", Shape{}, Rows::batch, Kind::index), score = select(n.graph.handle(n.graph.producer(n.score.id).inputs[0]), other);
  std::vector<int> outputs{n.score.id, score.id};
  const auto graph = passes::closed_form(n.graph, outputs);
  EXPECT_EQ(count(*graph, ops::linear), 0);
  EXPECT_EQ(count(*graph, ops::linear_row), 2);
}

TEST(EliminateDead, KeepsInputsAndWhatOutputsNeed) {
  Network n;
  std::vector<int> only{n.score.id};
  const auto graph = passes::eliminate_dead(n.graph, only);
  EXPECT_EQ(count(*graph, ops::conv2d_backward_data), 0);
  EXPECT_EQ(graph->inputs().size(), 2u);
}

/// Every switch, by its place in PassOptions.
constexpr bool PassOptions::*switches[] = {&PassOptions::fold_batch_norm,    &PassOptions::hoist_linear, &PassOptions::fuse_convolution,
                                           &PassOptions::fuse_relu_backward, &PassOptions::keep_masks,   &PassOptions::sum_before_linear,
                                           &PassOptions::crop_windows,       &PassOptions::plan_memory,  &PassOptions::closed_form};
constexpr int switch_count = static_cast<int>(std::size(switches));
static_assert(sizeof(PassOptions) == switch_count, "a switch is missing in this list");

/// Bit i: switch i. All off, all on, each alone and each pair on, each alone and each pair off.
std::vector<int> combinations() {
  std::set<int> chosen{0};
  for (int i = 0; i < switch_count; ++i)
    for (int j = i; j < switch_count; ++j) chosen.insert(1 << i | 1 << j);
  const int all = (1 << switch_count) - 1;
  for (const int bits : std::set<int>(chosen)) chosen.insert(all & ~bits);
  return {chosen.begin(), chosen.end()};
}

// Combinations of switches, on both backends, against all off on the oracle.
class Switches : public ::testing::TestWithParam<std::tuple<int, const char*>> {};

TEST_P(Switches, DoNotChangeTheAnswer) {
  const auto [bits, device] = GetParam();
  const auto answer = [&](int on_bits, const std::string& place) {
    Graph g;
    const Value x = g.input("x", {3, 19, 16}), baseline = g.input("baseline", {3, 19, 16});
    const Value target = g.input("target", Shape{}, Rows::batch, Kind::index);
    const Value nodes = g.input("nodes", {5}, Rows::one, Kind::coefficient), weights = g.input("weights", {5}, Rows::one, Kind::coefficient);
    const Value points = path_points(baseline, x, nodes);
    const Value integral = weighted_sum(gradient(select(small_residual_network(points), target), points, RuleBook::plain()), weights);
    const Value occluded = occlude_windows(x, baseline, {{3, 3, 3}, {7, 3, 19}, {16, 16, 16}});  // five windows, as many as the path has points
    const Value scores = collect(select(small_residual_network(occluded), target));
    const Value score = select(small_residual_network(x), target);
    CompileOptions o = on(place, place == "reference" ? Precision::f64 : Precision::f32);
    for (int i = 0; i < switch_count; ++i) o.passes.*switches[i] = (on_bits >> i & 1) != 0;
    const Value last = g.at("last"), map = channel_weighted_sum(global_avg_pool(gradient(score, last)), last);
    return run({integral, gradient(score, x, RuleBook::guided()), gradient(score, x, RuleBook::deconvolution()), scores, map},
               {random_tensor({2, 3, 19, 16}, 3), random_tensor({2, 3, 19, 16}, 4), Tensor::from<std::int64_t>({2}, {2, 0}),
                Tensor::from<double>({5}, {0.1, 0.3, 0.5, 0.7, 0.9}), Tensor::full({5}, 0.2, DType::f64)},
               o);
  };
  static const auto expected = answer(0, "reference");
  const auto got = answer(bits, device);
  const double tolerance = std::string_view(device) == "reference" ? 1e-12 : 2e-4;
  for (std::size_t k = 0; k < expected.size(); ++k) EXPECT_LT(max_difference(got[k], expected[k]), tolerance) << k;
}

INSTANTIATE_TEST_SUITE_P(All, Switches, ::testing::Combine(::testing::ValuesIn(combinations()), ::testing::Values("reference", "cpu")));

}  // namespace
}  // namespace limpid::testing
