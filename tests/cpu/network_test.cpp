// Whole graphs on the CPU backend: the passes do not change the answer, threads do not disturb each other, and every convolution of the
// known networks meets generated code.
#include "../support/op_cases.h"

#include <limpid/cpu/describe.h>
#include <limpid/nn/model.h>

#include <cstring>
#include <sstream>
#include <thread>

namespace limpid::testing {
namespace {

/// Logits and the gradient of a score by the image, for a batch of three.
struct Small {
  Small() {
    const Value x = graph.input("x", {3, 33, 30}), target = graph.input("target", Shape{}, Rows::batch, Kind::index);
    const Value logits = small_residual_network(x);
    outputs = {logits, gradient(select(logits, target), x)};
    inputs = {random_tensor({3, 3, 33, 30}, 3), Tensor::from<std::int64_t>({3}, {2, 0, 1})};
  }
  Graph graph;
  std::vector<Value> outputs;
  std::vector<Tensor> inputs;
};

TEST(CpuNetwork, PassesDoNotChangeTheAnswer) {
  Small network;
  const auto expected = run(network.outputs, network.inputs, on("reference", Precision::f64));
  for (int mask = 0; mask < 16; ++mask) {
    CompileOptions o = on("cpu");
    o.passes.fold_batch_norm = mask & 1;
    o.passes.fuse_convolution = mask & 2;
    o.passes.fuse_relu_backward = mask & 4;
    o.passes.plan_memory = mask & 8;
    const auto got = run(network.outputs, network.inputs, o);
    for (std::size_t k = 0; k < got.size(); ++k) EXPECT_LT(relative_difference(got[k], expected[k]), 2e-5) << "passes " << mask << ", output " << k;
  }
}

TEST(CpuNetwork, ABatchIsItsSamples) {
  Small network;
  const auto executable = compile(network.graph, network.outputs, on("cpu"));
  const auto together = executable->run(network.inputs);
  for (std::int64_t n = 0; n < 3; ++n) {
    const auto alone = executable->run(std::array{network.inputs[0].rows(n, n + 1), network.inputs[1].rows(n, n + 1)});
    for (std::size_t k = 0; k < alone.size(); ++k) EXPECT_LT(relative_difference(alone[k], together[k].rows(n, n + 1)), 1e-5);
  }
}

TEST(CpuNetwork, ThreadsDoNotDisturbEachOther) {
  Small a, b;
  const auto first = compile(a.graph, a.outputs, on("cpu")), second = compile(b.graph, b.outputs, on("cpu"));
  const auto expected = first->run(a.inputs);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, executable = t % 2 ? first : second] {
      for (int i = 0; i < 8; ++i) {
        const auto got = executable->run(a.inputs);
        for (std::size_t k = 0; k < got.size(); ++k) wrong += std::memcmp(got[k].raw(), expected[k].raw(), got[k].bytes()) != 0;
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(wrong.load(), 0);
}

TEST(CpuNetwork, OutlivesItsGraph) {
  auto network = std::make_unique<Small>();
  const auto inputs = network->inputs;
  const auto executable = compile(network->graph, network->outputs, on("cpu"));
  const auto expected = executable->run(inputs);
  network.reset();
  const auto got = executable->run(inputs);
  EXPECT_EQ(std::memcmp(got[1].raw(), expected[1].raw(), got[1].bytes()), 0);
}

/// Two residual blocks whose channels fill AMX's tiles, one with a stride; the gradient of a score by the input of the first.
Value tiled_gradient(Graph& g, Activation kind, const RuleBook& rules) {
  unsigned seed = 50;
  const auto c = [&](Shape s) { return g.constant(exact(std::move(s), ++seed, -0.15, 0.15)); };
  const auto unit = [&](Value v) { return kind == Activation::relu ? relu(v) : relu6(scale(v, 4)); };
  const auto same = [](std::int64_t stride) { return Conv2dOptions{{stride, stride}, {1, 1}, {1, 1}}; };
  const Value x = g.input("x", {32, 11, 10});
  Value y = relu(conv2d(x, c({32, 32, 3, 3}), c({32}), same(1)));
  y = unit(conv2d(unit(conv2d(y, c({32, 32, 3, 3}), c({32}), same(1))), c({32, 32, 3, 3}), {}, same(1)) + y);
  y = unit(conv2d(unit(conv2d(y, c({64, 32, 3, 3}), {}, same(2))), c({64, 64, 3, 3}), c({64}), same(1)) + conv2d(y, c({64, 32, 1, 1}), {}, {{2, 2}}));
  return gradient(total(global_avg_pool(y)), x, rules);
}

TEST(CpuNetwork, ReluBackwardInsideConvolutionsDoesNotChangeTheAnswer) {
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    if (!cpu_backend()->supports(precision)) continue;
    for (const RuleBook* rules : {&RuleBook::plain(), &RuleBook::guided(), &RuleBook::deconvolution()})
      for (const Activation kind : {Activation::relu, Activation::relu6}) {
        Graph g;
        const std::vector<Value> outputs{tiled_gradient(g, kind, *rules)};
        const std::vector<Tensor> inputs{exact({3, 32, 11, 10}, 6)};  // no unit within the rounding of f32 from its kinks
        const auto expected = run(outputs, inputs, on("reference", Precision::f64));
        CompileOptions o = on("cpu", precision);
        const auto fused = run(outputs, inputs, o);
        o.passes.fuse_relu_backward = o.passes.keep_masks = false;
        const auto apart = run(outputs, inputs, o);
        o.passes.fuse_relu_backward = true;
        const auto unmasked = run(outputs, inputs, o);
        const bool blind = rules == &RuleBook::deconvolution();  // its backward op keep_masks feeds with the gradient twice, so that it is not fused
        EXPECT_TRUE(blind || std::memcmp(unmasked[0].raw(), fused[0].raw(), fused[0].bytes()) == 0) << "a mask is what it was made from";
        // In bf16 some units are on the other side of their kinks than in f64, fused or not.
        EXPECT_LT(rms_difference(fused[0], apart[0]), precision == Precision::f32 ? 2e-5 : 1e-2);
        EXPECT_LT(rms_difference(fused[0], expected[0]), precision == Precision::f32 ? 2e-5 : 0.25);
      }
  }
}

/// How often a program's steps name `what`.
int count(const std::string& text, std::string_view what) {
  int found = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(CpuNetwork, ReluBackwardIsFusedOnTiles) {
  if (!cpu_backend()->supports(Precision::bf16)) GTEST_SKIP() << "NOT TESTED: this processor has no bf16 arithmetic";
  Graph g;
  std::vector<int> outputs{tiled_gradient(g, Activation::relu, RuleBook::plain()).id};
  const std::shared_ptr<const Graph> graph = passes::run_all(g, outputs, {}, DType::f32);
  for (const bool fuse : {true, false}) {
    const std::string text = cpu::describe(*cpu_backend()->lower(graph, outputs, {Precision::bf16, 0, 2, 0, true, fuse}));
    if (count(text, "tiles:amx_bf16") == 0) GTEST_SKIP() << "NOT TESTED: this processor has no AMX";
    EXPECT_EQ(count(text, "conv2d_backward_data"), 6) << text;
    EXPECT_EQ(count(text, "+ activation_backward"), fuse ? 4 : 0) << text;
    EXPECT_EQ(count(text, "activation_backward"), 5) << text;  // the first has no convolution in front
    EXPECT_EQ(count(text, "relu_mask"), 5) << text;
    EXPECT_EQ(count(text, "+ relu_mask"), fuse ? 5 : 0) << text;
  }
}

/// The convolutions of ResNets and EfficientNet-Lite, forward and backward, alone and in a sweep, in every precision.
TEST(CpuImplementations, AreGenerated) {
  const auto same = [](std::int64_t p, std::int64_t stride = 1) { return Conv2dOptions{{stride, stride}, {p, p}, {p, p}}; };
  const auto depthwise = [](std::int64_t c, std::int64_t begin, std::int64_t end, std::int64_t stride) { return Conv2dOptions{{stride, stride}, {begin, begin}, {end, end}, {1, 1}, c}; };
  const std::vector<OpCase> cases{
      conv_case("stem", {3, 224, 224}, 64, {7, 7}, same(3, 2)),
      conv_case("stem_asymmetric", {3, 224, 224}, 32, {3, 3}, {{2, 2}, {0, 0}, {1, 1}}),
      conv_case("layer1", {64, 56, 56}, 64, {3, 3}, same(1)),
      conv_case("layer2_strided", {64, 56, 56}, 128, {3, 3}, same(1, 2)),
      conv_case("layer2_downsample", {64, 56, 56}, 128, {1, 1}, same(0, 2)),
      conv_case("layer4", {512, 7, 7}, 512, {3, 3}, same(1)),
      conv_case("bottleneck_up", {64, 56, 56}, 256, {1, 1}, same(0)),
      conv_case("bottleneck_strided", {128, 56, 56}, 128, {3, 3}, same(1, 2)),
      conv_case("expand", {24, 56, 56}, 144, {1, 1}, same(0)),
      conv_case("project", {144, 28, 28}, 40, {1, 1}, same(0)),
      conv_case("depthwise_3x3", {96, 56, 56}, 96, {3, 3}, depthwise(96, 1, 1, 1)),
      conv_case("depthwise_3x3_strided", {96, 112, 112}, 96, {3, 3}, depthwise(96, 0, 1, 2)),
      conv_case("depthwise_5x5_strided", {144, 56, 56}, 144, {5, 5}, depthwise(144, 1, 2, 2)),
      conv_case("depthwise_5x5", {240, 28, 28}, 240, {5, 5}, depthwise(240, 2, 2, 1)),
  };
  for (const OpCase& c : cases)
    for (const Variant variant : {Variant::forward, Variant::gradient, Variant::sweep, Variant::sweep_gradient})
      for (const Precision precision : {Precision::f32, Precision::bf16}) {
        if (!cpu_backend()->supports(precision)) continue;
        BuiltCase b = build(c, variant, 1);
        std::vector<int> outputs{b.outputs[0].id};
        const std::shared_ptr<const Graph> graph = passes::run_all(*b.graph, outputs, {}, DType::f32);
        const auto program = cpu_backend()->lower(graph, outputs, {precision, 0, 1, graph->sweep() ? 4 : 0, true});
        const std::string text = cpu::describe(*program);
        EXPECT_NE(text.find("conv2d"), std::string::npos);
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);)
          for (const char* slow : {" ref", "gemm:"})
            EXPECT_TRUE(line.find("conv2d") == std::string::npos || line.find(slow) == std::string::npos) << c.name << ' ' << name_of(precision) << ": " << line;
      }
}

/// Between the first convolution in the loop of integrated gradients and the pool's backward op nothing changes a layout.
TEST(CpuImplementations, NoReorderInASweep) {
  for (const char* architecture : {"resnet18", "resnet50"}) {
    const Network network = Model::load("random", architecture)->network({3, 64, 64});
    Graph g;
    const Value x = g.input("x", {3, 64, 64}), from = g.input("from", {3, 64, 64}), nodes = g.input("nodes", {4}, Rows::one, Kind::coefficient);
    const Value target = g.input("target", Shape{}, Rows::batch, Kind::index), points = path_points(from, x, nodes);
    std::vector<int> outputs{weighted_sum(gradient(select(network(points), target), points), g.input("weights", {4}, Rows::one, Kind::coefficient)).id};
    const std::shared_ptr<const Graph> graph = passes::run_all(g, outputs, {}, DType::f32);
    for (const Precision precision : {Precision::f32, Precision::bf16}) {
      if (!cpu_backend()->supports(precision)) continue;
      const std::string text = cpu::describe(*cpu_backend()->lower(graph, outputs, {precision, 0, 1, 4, true}));
      const std::size_t first = text.find("body: conv2d"), last = text.find("body: max_pool_backward");
      ASSERT_LT(first, last);
      const std::string body = text.substr(first, last - first);
      EXPECT_GT(count(body, "body: conv2d"), 30);
      EXPECT_EQ(count(body, "body: reorder"), 0) << architecture << ' ' << name_of(precision) << '\n' << body;
    }
  }
}

}  // namespace
}  // namespace limpid::testing
