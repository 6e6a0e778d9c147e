// The hoisted start of integrated gradients in one step: over random geometries, numbers, batches and cuts it gives the pictures of single steps and the
// taps of f32, and the numbers of the reference where all of them are exact.
#include "../support/op_cases.h"

#include <limpid/cpu/describe.h>
#include <limpid/nn/model.h>

#include <cstring>

namespace limpid::testing {
namespace {

/// Multiples of `step` in [-limit, limit].
Tensor multiples(Shape shape, unsigned seed, double step, double limit) {
  Tensor t = random_tensor(std::move(shape), seed, -limit / step, limit / step);
  for (double& v : t.span<double>()) v = std::round(v) * step;
  return t;
}

struct Geometry {
  Shape x;
  PoolOptions pool;
  std::int64_t batch, points;
  Activation kind;
  bool two_gradients, two_targets;
};

std::ostream& operator<<(std::ostream& out, const Geometry& g) {
  return out << g.x << ", window " << g.pool.kernel[0] << 'x' << g.pool.kernel[1] << ", stride " << g.pool.stride[0] << 'x' << g.pool.stride[1] << ", padding " << g.pool.padding[0] << 'x' << g.pool.padding[1]
             << ", batch " << g.batch << ", points " << g.points << (g.kind == Activation::relu6 ? ", relu6" : ", relu") << (g.two_gradients ? ", two gradients" : "") << (g.two_targets ? ", two targets" : "");
}

Geometry random_geometry(std::mt19937& random) {
  const auto pick = [&](std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random); };
  Geometry g;
  constexpr std::int64_t channels[] = {8, 16, 24, 32, 48, 5, 19};
  g.x = {channels[pick(0, 6)], pick(4, 15), pick(4, 17)};
  const bool usual = pick(0, 2) > 0;  // 3x3, stride 2, padding 1
  for (std::size_t i : {0, 1}) {
    g.pool.kernel[i] = usual ? 3 : pick(1, 4);
    g.pool.stride[i] = usual ? 2 : pick(1, 4);
    g.pool.padding[i] = usual ? 1 : pick(0, g.pool.kernel[i] / 2);
  }
  g.batch = pick(1, 3);
  g.points = pick(1, 6);
  g.kind = pick(0, 2) ? Activation::relu : Activation::relu6;
  g.two_gradients = pick(0, 1);
  g.two_targets = pick(0, 2) == 0;
  return g;
}

/// The sums over the path of the pooled picture and of the gradients of scores by the points. Gradients and weights are small integers, so that the order of
/// sums does not matter; so are, in other units, the points if `exact`: then even bf16 holds them, and many are equal.
struct Start {
  Start(const Geometry& geometry, bool exact, unsigned seed, const RuleBook& rules = RuleBook::plain()) {
    const Value x = g.input("x", geometry.x), from = g.input("from", geometry.x);
    const Value nodes = g.input("nodes", {geometry.points}, Rows::one, Kind::coefficient), weights = g.input("weights", {geometry.points}, Rows::one, Kind::coefficient);
    const Value points = path_points(from, x, nodes), unit = geometry.kind == Activation::relu ? relu(points) : relu6(points), y = max_pool(unit, geometry.pool);
    const auto score = [&](Value v, unsigned which) {
      const std::int64_t n = v.shape().numel();
      return select(linear(reshape(v, Shape{n}), g.constant(multiples({1, n}, seed + which, 1, 4))), g.constant(Tensor(Shape{}, DType::i64)));
    };
    outputs.push_back(weighted_sum(y, weights));
    for (unsigned target = 0; target < (geometry.two_targets ? 2u : 1u); ++target) {
      Value s = score(y, 10 + target);
      if (geometry.two_gradients) s = s + score(relu(y), 20 + target);
      outputs.push_back(weighted_sum(gradient(s, points, rules), weights));
    }
    const Shape full = geometry.x.with_outer(geometry.batch);
    const auto end = [&](unsigned which) { return exact ? multiples(full, seed + which, 0.5, 8).to(DType::f32) : random_tensor(full, seed + which, -7, 8).to(DType::f32); };
    Tensor alphas = multiples({geometry.points}, seed + 3, 0.125, 0.5);
    for (double& v : alphas.span<double>()) v += exact ? 0.5 : 0.51;
    inputs = {end(1), end(2), alphas, multiples({geometry.points}, seed + 4, 0.25, 2)};
  }
  std::string steps(const CompileOptions& o) {
    std::vector<int> ids;
    for (const Value& v : outputs) ids.push_back(v.id);
    const std::shared_ptr<const Graph> graph = passes::run_all(g, ids, o.passes, DType::f32);
    return cpu::describe(*cpu_backend()->lower(graph, ids, {o.precision == Precision::bf16 ? Precision::bf16 : Precision::f32, 0, 2, 2, true, o.passes.fuse_relu_backward}));
  }
  Graph g;
  std::vector<Value> outputs;
  std::vector<Tensor> inputs;
};

int count(const std::string& text, std::string_view what) {
  int found = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
  return found;
}

constexpr const char *forward_step = "body: path_points, activation, max_pool", *backward_step = "body: max_pool_backward, activation_backward, weighted_sum";

void expect_same(const std::vector<Tensor>& got, const std::vector<Tensor>& expected, const std::string& what) {
  for (std::size_t k = 0; k < got.size(); ++k) EXPECT_EQ(max_difference(got[k], expected[k]), 0) << "output " << k << ": " << what;
}

class CpuPathPool : public ::testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (!cpu_backend()->supports(GetParam())) GTEST_SKIP() << "NOT TESTED: this processor has no bf16 arithmetic";
  }
  CompileOptions options(bool fuse = true) const {
    CompileOptions o = on("cpu", GetParam());
    o.passes.fuse_relu_backward = fuse;
    return o;
  }
};

TEST_P(CpuPathPool, GivesWhatTheReferenceGivesForExactNumbers) {
  std::mt19937 random(17);
  int fused = 0;
  for (unsigned i = 0; i < 60; ++i) {
    const Geometry geometry = random_geometry(random);
    Start start(geometry, true, 100 * i);
    const auto text = ::testing::PrintToString(i) + ": " + (std::ostringstream() << geometry).str();
    fused += count(start.steps(options()), forward_step);
    const auto expected = run(start.outputs, start.inputs, on("reference", Precision::f64));
    for (const std::int64_t chunk : {0, 1, 2, 5}) {
      CompileOptions o = options();
      o.internal_batch_size = chunk;
      o.threads = chunk == 2 ? 3 : 1;
      expect_same(run(start.outputs, start.inputs, o), expected, text + ", chunk " + std::to_string(chunk));
    }
  }
  EXPECT_GT(fused, 30);
}

/// The gradients are integers, so they are f32's as soon as the taps are, which bf16 finds although it rounds what it stores.
TEST_P(CpuPathPool, GivesThePictureOfSingleStepsAndTheTapsOfF32) {
  std::mt19937 random(18);
  int fused = 0;
  for (unsigned i = 0; i < 60; ++i) {
    const Geometry geometry = random_geometry(random);
    Start start(geometry, false, 100 * i + 7);
    if (!count(start.steps(options()), forward_step)) continue;
    ++fused;
    const auto got = run(start.outputs, start.inputs, options()), apart = run(start.outputs, start.inputs, options(false));
    CompileOptions wide = options(false);
    wide.precision = Precision::f32;
    const auto expected = run(start.outputs, start.inputs, wide);
    EXPECT_EQ(std::memcmp(got[0].raw(), apart[0].raw(), got[0].bytes()), 0) << i << ": " << geometry;
    for (std::size_t k = 1; k < got.size(); ++k) EXPECT_EQ(max_difference(got[k], expected[k]), 0) << i << ": " << geometry << ", target " << k;
  }
  EXPECT_GT(fused, 30);
}

TEST_P(CpuPathPool, TakesWindowsOfManyPoints) {
  for (const PoolOptions& pool : {PoolOptions{{15, 16}, {3, 2}, {7, 8}}, PoolOptions{{1, 1}, {1, 1}, {0, 0}}, PoolOptions{{16, 16}, {2, 2}, {8, 8}}}) {
    Start start({{16, 20, 19}, pool, 2, 3, Activation::relu, true, false}, true, 5);
    const bool fused = pool.kernel[0] * pool.kernel[1] <= 254;
    EXPECT_EQ(count(start.steps(options()), forward_step), fused);
    if (fused || GetParam() == Precision::f32)  // bf16 does not hold the gradients that single steps store: sums over many windows
      expect_same(run(start.outputs, start.inputs, options()), run(start.outputs, start.inputs, on("reference", Precision::f64)), "");
  }
}

TEST_P(CpuPathPool, IsTakenWhereItApplies) {
  const Geometry geometry{{32, 9, 8}, {{3, 3}, {2, 2}, {1, 1}}, 2, 3, Activation::relu, true, true};
  Start plain(geometry, true, 1), guided(geometry, true, 1, RuleBook::guided()), blind(geometry, true, 1, RuleBook::deconvolution());
  const std::string steps = plain.steps(options());
  EXPECT_EQ(count(steps, forward_step), 1) << steps;
  EXPECT_EQ(count(steps, backward_step), 2) << steps;
  for (const char* gone : {"body: relu_mask [32, 9, 8]", "body: max_pool ", "body: add [32, 5, 4]"}) EXPECT_EQ(count(steps, gone), 0) << steps;
  CompileOptions unmasked = options();
  unmasked.passes.keep_masks = false;
  EXPECT_EQ(count(plain.steps(options(false)), forward_step), 0);
  EXPECT_EQ(count(plain.steps(unmasked), forward_step), 0);
  EXPECT_EQ(count(guided.steps(options()), forward_step), 0);
  EXPECT_EQ(count(blind.steps(options()), forward_step), 0);
  for (Start* start : {&plain, &guided, &blind}) {
    const auto expected = run(start->outputs, start->inputs, on("reference", Precision::f64));
    expect_same(run(start->outputs, start->inputs, options()), expected, "masked");
    expect_same(run(start->outputs, start->inputs, unmasked), expected, "unmasked");
  }
}

TEST_P(CpuPathPool, StartsAResNet) {
  const Network network = Model::load("random", "resnet18")->network({3, 64, 64});
  Graph g;
  const Value x = g.input("x", {3, 64, 64}), from = g.input("from", {3, 64, 64}), nodes = g.input("nodes", {4}, Rows::one, Kind::coefficient);
  const Value target = g.input("target", Shape{}, Rows::batch, Kind::index), points = path_points(from, x, nodes);
  std::vector<int> outputs{weighted_sum(gradient(select(network(points), target), points), g.input("weights", {4}, Rows::one, Kind::coefficient)).id};
  const std::shared_ptr<const Graph> graph = passes::run_all(g, outputs, {}, DType::f32);
  const std::string text = cpu::describe(*cpu_backend()->lower(graph, outputs, {GetParam(), 0, 1, 4, true}));
  EXPECT_EQ(count(text, forward_step), 1) << text;
  EXPECT_EQ(count(text, backward_step), 1) << text;
  EXPECT_EQ(count(text, "body: add"), 0) << text;
  EXPECT_EQ(count(text, "body: reorder"), 0) << text;
}

INSTANTIATE_TEST_SUITE_P(Precisions, CpuPathPool, ::testing::Values(Precision::f32, Precision::bf16), [](const auto& test) { return std::string(name_of(test.param)); });

}  // namespace
}  // namespace limpid::testing
