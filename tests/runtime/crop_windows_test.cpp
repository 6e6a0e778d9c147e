// Incremental occlusion: whatever the network, the picture and the windows, a crop per window gives what the whole pictures give.
#include <gtest/gtest.h>

#include "../support/graphs.h"

#include <algorithm>

namespace limpid::testing {
namespace {

int count(const Graph& g, const OpDef& op) {
  int n = 0;
  for (const Node& node : g.nodes()) n += node.op == &op;
  return n;
}

/// A random network of convolutions, pools, residual blocks and the like, small enough for plain loops.
class RandomNetwork {
 public:
  explicit RandomNetwork(unsigned seed) : random_(seed), weights_(seed * 100) {}

  std::int64_t up_to(std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random_); }

  Value operator()(Value x) {
    const auto layers = up_to(2, 6);
    for (std::int64_t i = 0; i < layers; ++i) x = layer(x);
    if (up_to(0, 4) == 0) return flat(x);
    x = global_avg_pool(x);
    return linear(x, c(x, {3, x.shape()[0]}), c(x, {3}));
  }

 private:
  Value c(Value like, Shape shape, double low = -0.5, double high = 0.5) { return like.graph->constant(random_tensor(std::move(shape), ++weights_, low, high)); }
  Value flat(Value x) {
    const std::int64_t n = x.shape().numel();
    return linear(reshape(x, {n}), c(x, {3, n}));
  }
  Value norm(Value x) {
    const Shape s{x.shape()[0]};
    return batch_norm(x, c(x, s, 0.5, 1.5), c(x, s), c(x, s), c(x, s, 0.5, 2));
  }
  Value conv(Value x, std::int64_t outs, bool same) {
    const Shape& s = x.shape();
    Conv2dOptions o;
    Pair kernel;
    for (int i = 0; i < 2; ++i) {
      const auto k = static_cast<std::size_t>(i);
      const std::int64_t n = s[i + 1];
      kernel[k] = same ? 1 + 2 * up_to(0, 2) : up_to(1, std::min<std::int64_t>(5, n));
      o.dilation[k] = n > 8 ? up_to(1, 2) : 1;
      const std::int64_t span = (kernel[k] - 1) * o.dilation[k] + 1;
      if (same) {
        o.padding_begin[k] = up_to(0, span - 1);  // asymmetric
        o.padding_end[k] = span - 1 - o.padding_begin[k];
      } else {
        o.stride[k] = up_to(1, 3);
        o.padding_begin[k] = up_to(0, kernel[k]);
        o.padding_end[k] = std::max(up_to(0, kernel[k]), span - n - o.padding_begin[k]);
      }
    }
    if (s[0] % 2 == 0 && outs % 2 == 0 && up_to(0, 2) == 0) o.groups = 2;
    return conv2d(x, c(x, {outs, s[0] / o.groups, kernel[0], kernel[1]}), up_to(0, 1) ? c(x, {outs}) : Value{}, o);
  }
  Value activated(Value x) { return up_to(0, 1) ? relu(x) : relu6(x); }

  Value layer(Value x) {
    const std::int64_t channels = x.shape()[0];
    const bool small = x.shape()[1] < 3 || x.shape()[2] < 3;
    switch (up_to(0, 7)) {
      case 0: return small ? x : max_pool(x, {{up_to(2, 3), up_to(2, 3)}, {up_to(1, 3), up_to(1, 3)}, {up_to(0, 1), up_to(0, 1)}});
      case 1: return small ? x : avg_pool(x, {{up_to(2, 3), up_to(2, 3)}, {up_to(1, 2), up_to(1, 2)}, {up_to(0, 1), up_to(0, 1)}, up_to(0, 1) == 1});
      case 2: return activated(norm(conv(x, up_to(2, 4), false)));
      case 3: return relu(norm(conv(activated(conv(x, 4, true)), channels, true)) + x);  // a residual block
      case 4: return up_to(0, 1) ? x + scale(conv(x, channels, true), 0.5) : abs(x) - conv(x, channels, true);
      case 5: {
        const Value parts[] = {conv(x, 2, true), x};
        return slice(concat(parts), 1, 2 + channels);
      }
      case 6: {
        const Value one = sum_channels(x);
        return broadcast_channels(one, 3) * conv(x, 3, true);
      }
      default: return relu(conv(x, up_to(2, 4), false));
    }
  }

  std::mt19937 random_;
  unsigned weights_;
};

/// Occlusion, or ablation of rectangles, of a random network.
struct Sweep {
  explicit Sweep(unsigned seed) : network(seed) {
    const Shape picture{network.up_to(1, 3), network.up_to(5, 24), network.up_to(5, 24)};
    const Value x = graph.input("x", picture), baseline = graph.input("baseline", picture);
    const std::int64_t batch = network.up_to(1, 2);
    inputs = {random_tensor(picture.with_outer(batch), seed + 1), random_tensor(picture.with_outer(batch), seed + 2)};
    const Value zero = graph.constant(Tensor(Shape{}, DType::i64));
    if (network.up_to(0, 3) > 0) {
      const auto axis = [&](std::int64_t n, std::int64_t largest) {
        const std::int64_t size = network.up_to(1, std::min(n, largest));
        return WindowAxis{size, network.up_to(1, size), n};
      };
      const WindowGrid grid{axis(picture[0], picture[0]), axis(picture[1], network.up_to(2, 30)), axis(picture[2], network.up_to(2, 30))};
      const unsigned weights = static_cast<unsigned>(network.up_to(0, 1000));
      const auto score = [&](Value v) { return select(RandomNetwork(weights)(v), zero); };
      const Value scores = collect(score(occlude_windows(x, baseline, grid)));
      outputs = {scatter_windows(network.up_to(0, 1) ? score(x) : sum(x), scores, grid), scores};  // with and without the unchanged activations at hand
    } else {
      const std::int64_t rows = network.up_to(2, 4), columns = network.up_to(2, 4), count = rows * columns;
      Tensor groups(picture.with_outer(batch), DType::i64);
      auto boxes = std::make_shared<std::vector<Box>>();
      for (std::int64_t i = 0; i < groups.numel(); ++i) groups.data<std::int64_t>()[i] = i / picture[2] % picture[1] * rows / picture[1] * columns + i % picture[2] * columns / picture[2];
      const auto cut = [](std::int64_t i, std::int64_t parts, std::int64_t n) { return std::array{static_cast<std::int32_t>((i * n + parts - 1) / parts), static_cast<std::int32_t>(((i + 1) * n + parts - 1) / parts)}; };
      for (std::int64_t i = 0; i < count; ++i) boxes->push_back({cut(i / columns, rows, picture[1]), cut(i % columns, columns, picture[2])});
      inputs.push_back(groups);
      const Value groups_value = graph.input("groups", picture, Rows::batch, Kind::index);
      const Value scores = collect(select(network(ablate_features(x, baseline, groups_value, count, boxes)), zero));
      outputs = {scatter_features(sum(x), scores, groups_value), scores};
    }
  }
  std::vector<Tensor> run_with(bool crops, const char* device, std::int64_t chunk = 0) const {
    CompileOptions o = on(device, std::string_view(device) == "reference" ? Precision::f64 : Precision::f32);
    o.passes.crop_windows = crops;
    o.internal_batch_size = chunk;
    return run(outputs, inputs, o);
  }
  RandomNetwork network;
  Graph graph;
  std::vector<Value> outputs;
  std::vector<Tensor> inputs;
};

double magnitude(const Tensor& t) {
  double largest = 1e-30;
  for (std::int64_t i = 0; i < t.numel(); ++i) largest = std::max(largest, std::abs(t.at(i)));
  return largest;
}

class CropWindows : public ::testing::TestWithParam<unsigned> {};

TEST_P(CropWindows, GiveWhatWholePicturesGive) {
  const Sweep sweep(GetParam());
  const auto expected = sweep.run_with(false, "reference"), got = sweep.run_with(true, "reference");
  const double scores = magnitude(expected[1]);  // an attribution is a difference of these
  EXPECT_LE(max_difference(got[0], expected[0]), 1e-12 * scores);
  EXPECT_LE(max_difference(got[1], expected[1]), 1e-12 * scores);
  const double whole = max_difference(sweep.run_with(false, "cpu")[1], expected[1]);
  for (const std::int64_t chunk : {0, 3}) EXPECT_LE(max_difference(sweep.run_with(true, "cpu", chunk)[1], expected[1]), 2e-5 * scores + 4 * whole) << "cpu, chunk " << chunk;
}

INSTANTIATE_TEST_SUITE_P(RandomNetworks, CropWindows, ::testing::Range(0u, 300u));

TEST(CropWindowsPass, CropsMostOfTheRandomNetworks) {
  int cropped = 0, restored = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    const Sweep sweep(seed);
    std::vector<int> outputs{sweep.outputs[0].id};
    const auto graph = passes::crop_windows(sweep.graph, outputs);
    const int patches = count(*graph, ops::patch);
    cropped += patches > 0;
    restored += patches > 1;
  }
  EXPECT_GT(cropped, 150);
  EXPECT_GT(restored, 100);
}

/// 15x15 windows on a network with a stem, a pool and residual blocks, as deep as the crop grows to the picture.
struct Deep {
  Deep() {
    Value score = network(x);
    outputs = {scatter_windows(score, collect(network(occlude_windows(x, baseline, grid))), grid).id};
  }
  Value network(Value v) {
    unsigned seed = 0;
    const auto c = [&](const Shape& s) {
      if (++seed > weights.size()) weights.push_back(random_tensor(s, seed, -0.2, 0.2));
      return graph.constant(weights[seed - 1]);  // the same at every application
    };
    const auto conv = [&](Value in, std::int64_t outs, std::int64_t kernel, std::int64_t stride) {
      const std::int64_t p = kernel / 2;
      return conv2d(in, c({outs, in.shape()[0], kernel, kernel}), c({outs}), {{stride, stride}, {p, p}, {p, p}});
    };
    v = max_pool(relu(conv(v, 8, 7, 2)), {{3, 3}, {2, 2}, {1, 1}});
    for (int block = 0; block < 5; ++block) v = relu(conv(relu(conv(v, 8, 3, 1)), 8, 3, 1) + v);
    return select(linear(global_avg_pool(v), c({2, 8})), graph.constant(Tensor(Shape{}, DType::i64)));
  }
  Graph graph;
  std::vector<Tensor> weights;
  WindowGrid grid{{3, 3, 3}, {15, 8, 97}, {15, 8, 64}};
  Value x = graph.input("x", {3, 97, 64}), baseline = graph.input("baseline", {3, 97, 64});
  std::vector<int> outputs;
};

TEST(CropWindowsPass, ReturnsToWholePicturesWhereCropsNoLongerPay) {
  Deep deep;
  auto outputs = deep.outputs;
  const auto graph = passes::crop_windows(deep.graph, outputs);
  std::vector<std::int64_t> rows;  // of the convolutions of the sweep
  for (const Node& n : graph->nodes())
    if (n.op == &ops::conv2d && graph->value(n.outputs[0]).rows == Rows::sweep) rows.push_back(graph->value(n.outputs[0]).shape[1]);
  ASSERT_EQ(rows.size(), 11u);
  EXPECT_EQ(rows[0], 10);
  EXPECT_EQ(rows.back(), 25);
  EXPECT_TRUE(std::is_sorted(rows.begin() + 1, rows.end()));
}

TEST(CropWindowsPass, TakesTheUnchangedActivationsThatAreThere) {
  Deep deep;
  auto outputs = deep.outputs;
  const auto graph = passes::crop_windows(deep.graph, outputs);
  int unchanged = 0;
  for (const Node& n : graph->nodes()) unchanged += n.op == &ops::conv2d && graph->value(n.outputs[0]).rows == Rows::batch;
  EXPECT_EQ(unchanged, 11);  // not twice
}

TEST(CropWindowsPass, LeavesOtherGraphsAlone) {
  Graph g;
  const Value x = g.input("x", {3, 16, 16}), nodes = g.input("nodes", {4}, Rows::one, Kind::coefficient);
  std::vector<int> outputs{weighted_sum(relu(path_points(x, x, nodes)), nodes).id};
  EXPECT_EQ(passes::crop_windows(g, outputs)->to_string(), passes::eliminate_dead(g, outputs)->to_string());
}

}  // namespace
}  // namespace limpid::testing
