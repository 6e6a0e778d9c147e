// Each pass does what it says, and the answer does not depend on which passes ran.
#include <gtest/gtest.h>

#include "../support/graphs.h"

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

TEST(EliminateDead, KeepsInputsAndWhatOutputsNeed) {
  Network n;
  std::vector<int> only{n.score.id};
  const auto graph = passes::eliminate_dead(n.graph, only);
  EXPECT_EQ(count(*graph, ops::conv2d_backward_data), 0);
  EXPECT_EQ(graph->inputs().size(), 2u);
}

// Every combination of switches, on both backends, against all off on the oracle.
class Switches : public ::testing::TestWithParam<std::tuple<int, const char*>> {};

TEST_P(Switches, DoNotChangeTheAnswer) {
  const auto [bits, device] = GetParam();
  const auto answer = [&](int switches, const std::string& place) {
    Graph g;
    const Value x = g.input("x", {3, 19, 16}), baseline = g.input("baseline", {3, 19, 16});
    const Value target = g.input("target", Shape{}, Rows::batch, Kind::index);
    const Value nodes = g.input("nodes", {5}, Rows::one, Kind::coefficient), weights = g.input("weights", {5}, Rows::one, Kind::coefficient);
    const Value points = path_points(baseline, x, nodes);
    const Value integral = weighted_sum(gradient(select(small_residual_network(points), target), points, RuleBook::plain()), weights);
    const Value occluded = occlude_windows(x, baseline, {{3, 3, 3}, {7, 3, 19}, {16, 16, 16}});  // five windows
    const Value scores = collect(select(small_residual_network(occluded), target));
    const Value guided = gradient(select(small_residual_network(x), target), x, RuleBook::guided());
    CompileOptions o = on(place, place == "reference" ? Precision::f64 : Precision::f32);
    o.passes = {(switches & 1) != 0, (switches & 2) != 0, (switches & 4) != 0, (switches & 8) != 0, (switches & 16) != 0, (switches & 32) != 0};
    return run({integral, guided, scores},
               {random_tensor({2, 3, 19, 16}, 3), random_tensor({2, 3, 19, 16}, 4), Tensor::from<std::int64_t>({2}, {2, 0}),
                Tensor::from<double>({5}, {0.1, 0.3, 0.5, 0.7, 0.9}), Tensor::full({5}, 0.2, DType::f64)},
               o);
  };
  const auto expected = answer(0, "reference"), got = answer(bits, device);
  const double tolerance = std::string_view(device) == "reference" ? 1e-12 : 2e-4;
  for (std::size_t k = 0; k < expected.size(); ++k) EXPECT_LT(max_difference(got[k], expected[k]), tolerance);
}

INSTANTIATE_TEST_SUITE_P(All, Switches, ::testing::Combine(::testing::Range(0, 64), ::testing::Values("reference", "cpu")));

}  // namespace
}  // namespace limpid::testing
