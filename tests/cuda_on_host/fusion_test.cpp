// What the lowering joins: a hoisted path with its pooling, a convolution with its mask, a residual block's way back; and that the joined
// steps compute what the single ones do.
#include <gtest/gtest.h>

#include "../support/graphs.h"

#include <limpid/cuda/describe.h>

namespace limpid::testing {
namespace {

/// Integrated gradients of a small residual network's first logits, one a target.
struct Path {
  explicit Path(int targets) {
    const Value x = g.input("x", {3, 21, 18}), baseline = g.input("baseline", {3, 21, 18});
    const Value nodes = g.input("nodes", {5}, Rows::one, Kind::coefficient), weights = g.input("weights", {5}, Rows::one, Kind::coefficient);
    const Value points = path_points(baseline, x, nodes), logits = small_residual_network(points);
    for (int t = 0; t < targets; ++t) {
      const Value target = g.input("target" + std::to_string(t), Shape{}, Rows::batch, Kind::index);
      outputs.push_back((x - baseline) * weighted_sum(gradient(select(logits, target), points), weights));
    }
    inputs = {random_tensor({2, 3, 21, 18}, 3), random_tensor({2, 3, 21, 18}, 4), Tensor::from<double>({5}, {0.1, 0.3, 0.5, 0.7, 0.9}), Tensor::from<double>({5}, {0.1, 0.2, 0.3, 0.25, 0.15})};
    for (int t = 0; t < targets; ++t) inputs.push_back(Tensor::from<std::int64_t>({2}, {t, (t + 1) % 3}));
  }
  std::string steps() {
    std::vector<int> ids;
    for (const Value& v : outputs) ids.push_back(v.id);
    auto graph = std::shared_ptr<const Graph>(passes::run_all(g, ids, PassOptions{}, DType::f32));
    return cuda::describe(*cuda_backend()->lower(graph, ids, {Precision::f32, 0, 2, 5, true}));
  }
  Graph g;
  std::vector<Value> outputs;
  std::vector<Tensor> inputs;
};

int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(CudaFusion, AHoistedPathAndItsPoolingAreOneStep) {
  for (const int targets : {1, 3}) {
    const std::string steps = Path(targets).steps();
    EXPECT_EQ(count(steps, "body: path_points, activation, max_pool"), 1) << steps;
    EXPECT_EQ(count(steps, "body: max_pool_backward, activation_backward, weighted_sum"), targets) << steps;
    EXPECT_EQ(count(steps, "body: activation"), targets) << steps;  // of all ReLUs only the last one's way back, which no convolution leads to,
    EXPECT_EQ(count(steps, "body: relu_mask"), 0) << steps;         // of their masks none,
    EXPECT_EQ(count(steps, "body: add"), 0) << steps;               // nor of the sums of a residual block,
    EXPECT_EQ(count(steps, "body: convert"), 0) << steps;           // and nothing is converted within the sweep
  }
}

TEST(CudaFusion, GivesWhatSingleStepsGive) {
  for (const int targets : {1, 2}) {
    Path p(targets);
    const auto expected = run(p.outputs, p.inputs, on("reference", Precision::f64));
    for (const std::int64_t chunk : {0, 1, 3, 7})
      for (const bool masks : {true, false}) {
        CompileOptions o = on("cuda");
        o.internal_batch_size = chunk;
        o.passes.keep_masks = masks;
        const auto got = run(p.outputs, p.inputs, o);
        for (std::size_t k = 0; k < got.size(); ++k) EXPECT_LT(max_difference(got[k], expected[k]), 2e-4) << "target " << k << ", chunk " << chunk << (masks ? ", masks" : "");
      }
  }
}

TEST(CudaFusion, TheThirdRunReplaysWhatTheFirstComputed) {
  Path p(1);
  const auto executable = compile(p.g, p.outputs, on("cuda"));
  const auto first = executable->run(p.inputs), second = executable->run(p.inputs);
  std::swap(p.inputs[0], p.inputs[1]);  // other inputs through the same captured graph
  const auto third = executable->run(p.inputs), expected = run(p.outputs, p.inputs, on("cuda"));
  EXPECT_EQ(max_difference(first[0], second[0]), 0);
  EXPECT_EQ(max_difference(third[0], expected[0]), 0);
  EXPECT_GT(max_difference(third[0], first[0]), 0);
}

}  // namespace
}  // namespace limpid::testing
