// Plans, schedules and runs: cuts of the sweep and of the batch, budgets, progress, cancelling, bad inputs, caching, threads.
#include <gtest/gtest.h>

#include "../support/graphs.h"
#include <limpid/runtime/memory_plan.h>

#include <cstring>
#include <thread>

namespace limpid::testing {
namespace {

TEST(MemoryPlan, NeverOverlapsWhatLivesTogether) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<BufferRequest> requests;
    std::size_t total = 0;
    for (int i = 0; i < 40; ++i) {
      const int first = static_cast<int>(random() % 30);
      requests.push_back({random() % 5000, first, first + static_cast<int>(random() % 8)});
      total += (requests.back().bytes + 63) / 64 * 64;
    }
    const MemoryPlan plan = plan_memory(requests);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(plan.offsets[i] % 64, 0u);
      EXPECT_LE(plan.offsets[i] + requests[i].bytes, plan.bytes);
      for (std::size_t j = 0; j < i; ++j) {
        if (requests[i].last < requests[j].first || requests[j].last < requests[i].first) continue;
        const bool apart = plan.offsets[i] + requests[i].bytes <= plan.offsets[j] || plan.offsets[j] + requests[j].bytes <= plan.offsets[i];
        ASSERT_TRUE(apart) << "round " << round << ": " << i << " and " << j;
      }
    }
    EXPECT_LT(plan.bytes, total);
    EXPECT_EQ(plan_memory(requests, false).bytes, total);
  }
}

/// Integrated gradients of the small network with `steps` nodes, and the collected scores.
struct Sweep {
  explicit Sweep(std::int64_t steps_, std::int64_t samples_ = 3) : steps(steps_), samples(samples_) {
    x = graph.input("x", {3, 17, 16});
    const Value baseline = graph.input("baseline", {3, 17, 16}), target = graph.input("target", Shape{}, Rows::batch, Kind::index);
    const Value nodes = graph.input("nodes", {steps}, Rows::one, Kind::coefficient), weights = graph.input("weights", {steps}, Rows::one, Kind::coefficient);
    const Value points = path_points(baseline, x, nodes);
    const Value score = select(small_residual_network(points), target);
    outputs = {weighted_sum(gradient(score, points), weights), collect(score)};
    std::vector<double> alphas;
    for (std::int64_t s = 0; s < steps; ++s) alphas.push_back((static_cast<double>(s) + 0.5) / static_cast<double>(steps));
    std::vector<std::int64_t> targets;
    for (std::int64_t n = 0; n < samples; ++n) targets.push_back(n % 3);
    inputs = {random_tensor({samples, 3, 17, 16}, 3), random_tensor({samples, 3, 17, 16}, 4), Tensor::from<std::int64_t>({samples}, targets),
              Tensor::from<double>({steps}, alphas), Tensor::full({steps}, 1.0 / static_cast<double>(steps), DType::f64)};
  }
  std::int64_t steps, samples;
  Graph graph;
  Value x;
  std::vector<Value> outputs;
  std::vector<Tensor> inputs;
};

class Cuts : public ::testing::TestWithParam<std::tuple<const char*, std::int64_t>> {};

TEST_P(Cuts, GiveTheSameBits) {
  const auto [device, chunk] = GetParam();
  Sweep sweep(7);
  CompileOptions o = on(device);
  o.internal_batch_size = 21;
  const auto whole = run(sweep.outputs, sweep.inputs, o);
  o.internal_batch_size = chunk;
  const auto cut = run(sweep.outputs, sweep.inputs, o);
  for (std::size_t k = 0; k < whole.size(); ++k) EXPECT_EQ(std::memcmp(whole[k].raw(), cut[k].raw(), whole[k].bytes()), 0) << "output " << k << ": " << max_difference(whole[k], cut[k]);
}
INSTANTIATE_TEST_SUITE_P(All, Cuts, ::testing::Combine(::testing::Values("reference", "cpu"), ::testing::Values(1, 2, 4, 5, 8, 13)));

TEST(Executable, ABatchIsItsSamples) {
  for (const char* device : {"reference", "cpu"}) {
    Sweep sweep(4);
    const auto executable = compile(sweep.graph, sweep.outputs, on(device));
    const auto together = executable->run(sweep.inputs);
    for (std::int64_t n = 0; n < 3; ++n) {
      std::vector<Tensor> one = sweep.inputs;
      for (int i = 0; i < 3; ++i) one[static_cast<std::size_t>(i)] = one[static_cast<std::size_t>(i)].rows(n, n + 1);
      const auto alone = executable->run(one);
      for (std::size_t k = 0; k < alone.size(); ++k) EXPECT_LT(max_difference(alone[k], together[k].rows(n, n + 1)), 1e-5) << device;
    }
  }
}

TEST(Executable, KeepsToItsBudget) {
  for (const char* device : {"reference", "cpu"}) {
    Sweep sweep(40, 2);
    CompileOptions o = on(device);
    const auto free = compile(sweep.graph, sweep.outputs, o);
    const auto expected = free->run(sweep.inputs);
    o.max_memory = free->peak_bytes() / 2;
    const auto tight = compile(sweep.graph, sweep.outputs, o);
    const auto got = tight->run(sweep.inputs);
    EXPECT_LE(tight->peak_bytes(), o.max_memory);
    EXPECT_LT(tight->chunk(2), free->chunk(2));
    for (std::size_t k = 0; k < got.size(); ++k) EXPECT_LT(max_difference(got[k], expected[k]), 1e-5);
    o.max_memory = 1000;
    try {
      compile(sweep.graph, sweep.outputs, o)->run(sweep.inputs);
      FAIL() << "a thousand bytes cannot suffice";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::out_of_memory) << e.what();
    }
  }
}

TEST(Executable, MemoryDoesNotGrowWithTheSweep) {
  for (const char* device : {"reference", "cpu"}) {
    Sweep small(100, 1), large(800, 1);  // passes of as many rows in both
    const auto a = compile(small.graph, small.outputs, on(device)), b = compile(large.graph, large.outputs, on(device));
    a->run(small.inputs);
    b->run(large.inputs);
    EXPECT_LT(static_cast<double>(b->peak_bytes()), 1.1 * static_cast<double>(a->peak_bytes()) + 16384) << device;
  }
}

TEST(Executable, ReportsProgressAndStops) {
  Sweep sweep(20);
  CompileOptions o = on("cpu");
  o.internal_batch_size = 4;
  const auto executable = compile(sweep.graph, sweep.outputs, o);
  std::vector<double> seen;
  executable->run(sweep.inputs, {[&](double f) { seen.push_back(f); }, nullptr});
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(seen.back(), 1.0);
  EXPECT_GE(seen.size(), 10u);

  CancelToken token;
  int calls = 0;
  try {
    executable->run(sweep.inputs, {[&](double) { if (++calls == 3) token.cancel(); }, &token});
    FAIL() << "not cancelled";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::cancelled);
  }
  EXPECT_LE(calls, 4);
  executable->run(sweep.inputs);  // and it can run again
}

TEST(Executable, RefusesInputsThatDoNotFit) {
  Sweep sweep(4);
  const auto executable = compile(sweep.graph, sweep.outputs, on("reference"));
  const auto refuses = [&](std::size_t which, Tensor wrong) {
    std::vector<Tensor> inputs = sweep.inputs;
    inputs[which] = std::move(wrong);
    EXPECT_THROW(executable->run(inputs), Error) << which;
  };
  refuses(0, Tensor({3, 3, 17, 15}));
  refuses(0, Tensor({2, 3, 17, 16}));
  refuses(0, Tensor({3, 3, 17, 16}, DType::i64));
  refuses(0, Tensor());
  refuses(2, Tensor({3}));
  refuses(3, Tensor({5}, DType::f64));
  refuses(3, Tensor({4}));
  EXPECT_THROW(executable->run(std::vector<Tensor>{}), Error);
  EXPECT_THROW(compile(sweep.graph, sweep.outputs, on("gpu")), Error);
  EXPECT_THROW(compile(sweep.graph, sweep.outputs, on("cpu", Precision::f64)), Error);
}

TEST(Executable, RunsFromSeveralThreads) {
  Sweep sweep(6);
  const auto executable = compile(sweep.graph, sweep.outputs, on("cpu"));
  const auto expected = executable->run(sweep.inputs);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 3; ++i) EXPECT_EQ(max_difference(executable->run(sweep.inputs)[0], expected[0]), 0);
    });
  for (auto& t : threads) t.join();
}

TEST(CompileCache, FindsEqualGraphs) {
  CompileCache cache(2);
  const auto get = [&](double factor, const char* device = "reference") {
    Graph g;
    const Value y = scale(g.input("x", {4}), factor);
    return cache.get(g, std::span<const Value>(&y, 1), on(device));
  };
  const auto a = get(2);
  EXPECT_EQ(get(2), a);
  EXPECT_NE(get(3), a);
  EXPECT_EQ(get(2), a);
  EXPECT_NE(get(2, "cpu"), a);  // pushes factor 3 out, the least recently used
  EXPECT_EQ(get(2), a);
}

TEST(Graph, ShapeRulesNameTheOp) {
  Graph g;
  const Value x = g.input("x", {3, 8, 8});
  const auto expect = [](const char* word, auto f) {
    try {
      f();
      FAIL() << word;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(word), std::string::npos) << e.what();
    }
  };
  expect("conv2d", [&] { conv2d(x, g.constant(Tensor({4, 2, 3, 3}))); });
  expect("conv2d", [&] { conv2d(x, g.constant(Tensor({4, 3, 9, 9}))); });
  expect("add", [&] { add(x, g.input("y", {3, 8, 7})); });
  expect("linear", [&] { linear(x, g.constant(Tensor({4, 3}))); });
  expect("max_pool", [&] { max_pool(x, {{9, 9}, {1, 1}}); });
  expect("occlude_windows", [&] { occlude_windows(x, x, {{4, 1, 3}, {1, 1, 8}, {1, 1, 8}}); });
  expect("select", [&] { select(x, x); });
  expect("layer", [&] { g.at("z"); });
}

}  // namespace
}  // namespace limpid::testing
