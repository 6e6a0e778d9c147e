// The CUDA backend as a whole, on the host: devices that are missing or old, memory that runs out, runs again and from several threads.
#include <gtest/gtest.h>

#include "../support/graphs.h"
#include "on_host.h"

#include <cstring>
#include <thread>

namespace limpid::testing {
namespace {

using cuda::on_host::settings;

/// Settings as they were, when the test is over.
class CudaBackend : public ::testing::Test {
 protected:
  ~CudaBackend() override { settings() = before_; }

 private:
  cuda::on_host::Settings before_ = settings();
};

/// Integrated gradients of the small network, and its scores.
struct Job {
  explicit Job(std::int64_t steps, std::int64_t samples = 3, unsigned seed = 3) {
    const Value x = graph.input("x", {3, 17, 16}), baseline = graph.input("baseline", {3, 17, 16}), target = graph.input("target", Shape{}, Rows::batch, Kind::index);
    const Value nodes = graph.input("nodes", {steps}, Rows::one, Kind::coefficient), weights = graph.input("weights", {steps}, Rows::one, Kind::coefficient);
    const Value points = path_points(baseline, x, nodes), score = select(small_residual_network(points), target);
    outputs = {weighted_sum(gradient(score, points), weights), collect(score)};
    std::vector<double> alphas;
    for (std::int64_t s = 0; s < steps; ++s) alphas.push_back((static_cast<double>(s) + 0.5) / static_cast<double>(steps));
    std::vector<std::int64_t> targets;
    for (std::int64_t n = 0; n < samples; ++n) targets.push_back(n % 3);
    inputs = {random_tensor({samples, 3, 17, 16}, seed), random_tensor({samples, 3, 17, 16}, seed + 1), Tensor::from<std::int64_t>({samples}, targets), Tensor::from<double>({steps}, alphas),
              Tensor::full({steps}, 1.0 / static_cast<double>(steps), DType::f64)};
  }
  Graph graph;
  std::vector<Value> outputs;
  std::vector<Tensor> inputs;
};

void same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t k = 0; k < a.size(); ++k) EXPECT_EQ(std::memcmp(a[k].raw(), b[k].raw(), a[k].bytes()), 0) << "output " << k << ": " << max_difference(a[k], b[k]);
}

/// The error's code and words when the job is compiled and run.
std::pair<ErrorCode, std::string> failure(const CompileOptions& options) {
  try {
    Job job(4);
    run(job.outputs, job.inputs, options);
  } catch (const Error& e) {
    return {e.code(), e.what()};
  }
  ADD_FAILURE() << "it ran";
  return {ErrorCode::internal, ""};
}

TEST_F(CudaBackend, IsListed) {
  bool found = false;
  for (const DeviceInfo& d : devices()) found = found || (d.name == "cuda:0" && d.capability == "sm_90");
  EXPECT_TRUE(found);
  EXPECT_EQ(choose_backend("auto").backend, cuda_backend());
}

TEST_F(CudaBackend, SaysWhyThereIsNoDevice) {
  settings().major = 0;
  auto [code, words] = failure(on("cuda"));
  EXPECT_EQ(code, ErrorCode::not_found);
  EXPECT_NE(words.find(cuda::why_no_device()), std::string::npos) << words;
  EXPECT_EQ(choose_backend("auto").backend, cpu_backend());
  settings().major = 6;
  settings().minor = 1;
  std::tie(code, words) = failure(on("cuda:0"));
  EXPECT_EQ(code, ErrorCode::not_found);
  EXPECT_NE(words.find("6.1"), std::string::npos) << words;
}

TEST_F(CudaBackend, AnOldDeviceHasNoBf16) {
  settings().major = 7;
  settings().minor = 5;
  for (const Precision precision : {Precision::bf16, Precision::tf32}) EXPECT_EQ(failure(on("cuda", precision)).first, ErrorCode::unsupported) << name_of(precision);
  Job job(4);
  const auto expected = run(job.outputs, job.inputs, on("reference", Precision::f64));
  EXPECT_LT(max_difference(run(job.outputs, job.inputs, on("cuda", Precision::f16))[1], expected[1]), 1e-2);
  EXPECT_LT(max_difference(run(job.outputs, job.inputs, on("cuda", Precision::f32))[1], expected[1]), 1e-4);
}

TEST_F(CudaBackend, AgreesWithTheReference) {
  Job job(7);
  const auto expected = run(job.outputs, job.inputs, on("reference", Precision::f64)), got = run(job.outputs, job.inputs, on("cuda"));
  for (std::size_t k = 0; k < got.size(); ++k) EXPECT_LT(max_difference(got[k], expected[k]), 1e-4) << "output " << k;
}

TEST_F(CudaBackend, RunsAgainWithOtherInputs) {
  Job job(7), other(7, 3, 50);
  const auto executable = compile(job.graph, job.outputs, on("cuda"));
  const auto first = executable->run(job.inputs), second = executable->run(other.inputs), third = executable->run(job.inputs);
  same_bits(first, third);
  const auto expected = run(other.outputs, other.inputs, on("reference", Precision::f64));
  for (std::size_t k = 0; k < second.size(); ++k) EXPECT_LT(max_difference(second[k], expected[k]), 1e-4) << "output " << k;
}

TEST_F(CudaBackend, ReplaysOneGraphForTheWholeSweep) {
  Job job(40, 1);
  CompileOptions o = on("cuda");
  o.internal_batch_size = 8;
  const auto executable = compile(job.graph, job.outputs, o);
  executable->run(job.inputs);
  const auto before = cuda::on_host::counts();
  executable->run(job.inputs);
  EXPECT_GT(cuda::on_host::counts().replays, before.replays) << "no captured graph was replayed";
}

TEST_F(CudaBackend, ManyExecutablesFromManyThreads) {
  constexpr std::size_t count = 4;
  Job job(6);
  std::vector<std::vector<Tensor>> expected, got(3 * count);
  std::vector<std::shared_ptr<const Executable>> executables;
  for (std::size_t i = 0; i < count; ++i) {
    CompileOptions o = on("cuda", i % 2 ? Precision::f16 : Precision::f32);
    o.internal_batch_size = 3 + static_cast<std::int64_t>(i);
    executables.push_back(compile(job.graph, job.outputs, o));
    expected.push_back(executables.back()->run(job.inputs));
  }
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < got.size(); ++t)  // three threads share each executable
    threads.emplace_back([&, t] {
      for (int round = 0; round < 3; ++round) got[t] = executables[t % count]->run(job.inputs);
    });
  for (auto& thread : threads) thread.join();
  for (std::size_t t = 0; t < got.size(); ++t) same_bits(got[t], expected[t % count]);
}

TEST_F(CudaBackend, HalvesTheChunkWhenMemoryRunsOut) {
  Job job(64, 2);
  const auto roomy = compile(job.graph, job.outputs, on("cuda"));
  const auto expected = roomy->run(job.inputs);
  const std::size_t bytes = roomy->peak_bytes(), used = cuda::on_host::used_memory();
  settings().memory = used + bytes * 2 / 3;
  const auto tight = compile(job.graph, job.outputs, on("cuda"));
  const auto got = tight->run(job.inputs);
  EXPECT_LT(tight->chunk(2), roomy->chunk(2));
  for (std::size_t k = 0; k < got.size(); ++k) EXPECT_LT(max_difference(got[k], expected[k]), 1e-5) << "output " << k;
  settings().memory = cuda::on_host::used_memory() + 5000;
  const auto [code, words] = failure(on("cuda"));
  EXPECT_EQ(code, ErrorCode::out_of_memory) << words;
}

TEST_F(CudaBackend, HalvesTheBatchWhenMemoryRunsOut) {
  Graph g;
  const Value x = g.input("x", {3, 19, 16}), target = g.input("target", Shape{}, Rows::batch, Kind::index);
  const std::vector<Value> outputs{gradient(select(small_residual_network(x), target), x)};
  const std::vector<Tensor> inputs{random_tensor({8, 3, 19, 16}, 3), Tensor(Shape{8}, DType::i64)};
  const auto roomy = compile(g, outputs, on("cuda"));
  const auto expected = roomy->run(inputs);
  settings().memory = cuda::on_host::used_memory() + roomy->peak_bytes() * 2 / 3;
  const auto tight = compile(g, outputs, on("cuda"));
  EXPECT_LT(max_difference(tight->run(inputs)[0], expected[0]), 1e-5);
  EXPECT_LT(tight->peak_bytes(), roomy->peak_bytes());
}

TEST_F(CudaBackend, LeavesNoMemoryBehind) {
  const std::size_t before = cuda::on_host::used_memory();
  {
    Job job(5);
    run(job.outputs, job.inputs, on("cuda"));
  }
  EXPECT_EQ(cuda::on_host::used_memory(), before);
}

TEST_F(CudaBackend, NamesAPatternThatHasNoPlan) {
  settings().fusion = cuda::on_host::Fusion::none;
  const auto [code, words] = failure(on("cuda"));
  EXPECT_EQ(code, ErrorCode::unsupported);
  EXPECT_NE(words.find("forward n"), std::string::npos) << words;
}

}  // namespace
}  // namespace limpid::testing
