// Every way to do a convolution gives what the library's fused plan gives: composites with an own epilogue, and own depthwise kernels. And what
// was found best is remembered.
#include "on_host.h"

#include <gtest/gtest.h>
#include <limpid/cuda/convolution.h>
#include <limpid/cuda/plan_cache.h>
#include <limpid/runtime/error.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <thread>

namespace limpid::cuda {
namespace {

std::vector<std::byte> numbers(std::int64_t n, DType type, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> any(-1, 1);
  std::vector<std::byte> bytes(static_cast<std::size_t>(n) * size_of(type));
  for (std::int64_t i = 0; i < n; ++i) {
    const auto put = [&](auto x) { std::memcpy(bytes.data() + static_cast<std::size_t>(i) * sizeof x, &x, sizeof x); };
    const auto f = static_cast<float>(bfloat16(any(generator)));  // the same number in every type
    if (type == DType::f32) put(f);
    else if (type == DType::bf16) put(bfloat16(f));
    else put(float16(f));
  }
  return bytes;
}

struct Result {
  std::vector<float> out;
  std::vector<std::uint8_t> mask;
};

Result run(const ConvolutionPlan& plan, const ConvolutionPattern& p) {
  const std::int64_t weights = p.outputs * p.vertical.kernel * p.horizontal.kernel * (p.channels / p.groups);
  Stream stream(0);
  const auto in = numbers(p.in_elements(), p.type, 1), weight = numbers(weights, p.type, 2), bias = numbers(p.outputs, plan.bias_type(), 3), addend = numbers(p.out_elements(), p.type, 4);
  Result result;
  result.mask.resize(static_cast<std::size_t>(p.out_elements() / 8));
  std::mt19937 generator(5);
  for (auto& m : result.mask) m = static_cast<std::uint8_t>(generator());
  const DeviceMemory x(0, in.size()), w(0, weight.size()), b(0, bias.size()), a(0, addend.size()), y(0, addend.size()), bits(0, result.mask.size()), workspace(0, plan.workspace_bytes());
  stream.upload(x.data(), in.data(), in.size());
  stream.upload(w.data(), weight.data(), weight.size());
  if (p.bias) stream.upload(b.data(), bias.data(), bias.size());
  if (p.addend) stream.upload(a.data(), addend.data(), addend.size());
  if (p.mask && p.backward) stream.upload(bits.data(), result.mask.data(), result.mask.size());
  plan.run(stream, {.in = x.data(), .weight = w.data(), .out = y.data(), .bias = p.bias ? b.data() : nullptr, .addend = p.addend ? a.data() : nullptr, .mask = p.mask ? bits.data() : nullptr, .workspace = workspace.data()});
  std::vector<std::byte> got(y.bytes());
  stream.download(got.data(), y.data(), got.size());
  stream.synchronize();
  if (p.mask && !p.backward) {
    stream.download(result.mask.data(), bits.data(), result.mask.size());
    stream.synchronize();
  }
  for (std::int64_t i = 0; i < p.out_elements(); ++i) {
    const auto get = [&](auto v) { return std::memcpy(&v, got.data() + static_cast<std::size_t>(i) * sizeof v, sizeof v), static_cast<float>(v); };
    result.out.push_back(p.type == DType::f32 ? get(0.0f) : p.type == DType::bf16 ? get(bfloat16()) : get(float16()));
  }
  return result;
}

ConvolutionPattern pattern(bool backward, std::int64_t channels, std::int64_t outputs, std::int64_t groups, std::int64_t rows, std::int64_t columns, Axis v, Axis h) {
  ConvolutionPattern p;
  p.backward = backward;
  p.images = 2;
  p.channels = channels;
  p.outputs = outputs;
  p.groups = groups;
  p.rows = rows;
  p.columns = columns;
  p.vertical = v;
  p.horizontal = h;
  p.out_rows = v.out(rows);
  p.out_columns = h.out(columns);
  return p;
}

/// Each shape with each of what the networks fuse, in each type.
std::vector<ConvolutionPattern> patterns() {
  std::vector<ConvolutionPattern> all;
  for (const DType type : {DType::f32, DType::bf16, DType::f16})
    for (const bool backward : {false, true}) {
      const ConvolutionPattern shapes[] = {pattern(backward, 16, 24, 1, 7, 6, {3, 1, 1, 1}, {3, 1, 1, 1}),    pattern(backward, 8, 8, 8, 9, 7, {3, 1, 1, 1}, {3, 1, 1, 1}),
                                           pattern(backward, 72, 72, 72, 10, 11, {5, 2, 1, 2}, {5, 2, 2, 2}), pattern(backward, 136, 136, 136, 6, 5, {3, 2, 0, 1}, {3, 2, 0, 1}),
                                           pattern(backward, 64, 64, 64, 8, 9, {3, 3, 1, 0}, {5, 1, 4, 4, 2})};
      for (ConvolutionPattern p : shapes) {
        p.type = type;
        if (backward) {
          for (const int fused : {0, 1, 2, 3}) {
            p.addend = fused & 1;
            p.mask = fused & 2;
            all.push_back(p);
          }
        } else {
          all.push_back(p);
          p.bias = true;
          all.push_back(p);
          p.activation = Activation::relu;
          p.addend = true;
          all.push_back(p);
          p.mask = true;
          all.push_back(p);
          p.activation = Activation::relu6;
          p.addend = false;
          all.push_back(p);
        }
      }
    }
  return all;
}

TEST(Convolution, EveryWayGivesTheSame) {
  std::set<std::string> kinds;
  for (const ConvolutionPattern& p : patterns()) {
    SCOPED_TRACE(to_string(p));
    const auto reference = run(*library_plans(0, p, true, 1).front(), p);
    // A composite rounds the sums to the pictures' type before its epilogue, and the reference rounds its bias to it.
    const float bound = p.type == DType::f32 ? 2e-5f : p.type == DType::bf16 ? 3e-2f : 4e-3f;
    for (const auto& way : convolution_ways(0, p, true)) {
      SCOPED_TRACE(way->name());
      kinds.insert(way->name().substr(0, way->name().find(':')));
      const auto got = run(*way, p);
      for (std::size_t i = 0; i < got.out.size(); ++i) {
        ASSERT_NEAR(got.out[i], reference.out[i], bound * (1 + std::abs(reference.out[i]))) << i;
        if (p.mask && !p.backward && std::abs(reference.out[i] - 6) > 0.1f && (reference.out[i] == 0 ? got.out[i] == 0 : reference.out[i] > 0.1f)) {
          ASSERT_EQ(got.mask[i / 8] >> (i % 8) & 1, reference.mask[i / 8] >> (i % 8) & 1) << i;
        }
      }
    }
  }
  for (const char* kind : {"own depthwise", "but mask", "but activation", "sums"}) EXPECT_TRUE(kinds.count(kind)) << kind;
}

TEST(Convolution, MasksSayWhereTheActivationIsActive) {
  ConvolutionPattern p = pattern(false, 72, 72, 72, 6, 7, {3, 1, 1, 1}, {3, 1, 1, 1});
  p.bias = p.mask = true;
  p.activation = Activation::relu6;
  for (const auto& way : convolution_ways(0, p, true)) {
    const auto got = run(*way, p);
    for (std::size_t i = 0; i < got.out.size(); ++i) ASSERT_EQ(got.mask[i / 8] >> (i % 8) & 1, is_active(got.out[i], p.activation)) << way->name() << ' ' << i;
  }
}

TEST(Convolution, ThereIsAWayWhereTheLibraryOnlySums) {
  const on_host::Settings before = on_host::settings();
  on_host::settings().fusion = on_host::Fusion::bare;
  ConvolutionPattern p = pattern(false, 8, 16, 1, 5, 5, {3, 1, 1, 1}, {3, 1, 1, 1});
  p.bias = p.addend = p.mask = true;
  p.activation = Activation::relu;
  const auto chosen = choose_convolution(0, p, {.deterministic = true, .measure = false});
  EXPECT_TRUE(chosen->name().starts_with("sums: ")) << chosen->name();
  on_host::settings().fusion = on_host::Fusion::none;
  p.images = 3;
  EXPECT_THROW(choose_convolution(0, p), Error);
  on_host::settings() = before;
}

class PlanCache : public ::testing::Test {
 protected:
  PlanCache() : folder(std::filesystem::path(::testing::TempDir()) / ("limpid-cache-" + std::to_string(std::random_device{}()))) {
    if (const char* value = std::getenv("LIMPID_CACHE")) before = value;
    setenv("LIMPID_CACHE", folder.c_str(), 1);
  }
  ~PlanCache() override {
    std::filesystem::remove_all(folder);
    if (before.empty()) unsetenv("LIMPID_CACHE");
    else setenv("LIMPID_CACHE", before.c_str(), 1);
  }
  std::filesystem::path folder;
  std::string before;
};

TEST_F(PlanCache, KeepsWhatWasFoundBest) {
  ConvolutionPattern p = pattern(true, 16, 8, 1, 9, 5, {3, 1, 1, 1}, {1, 1, 0, 0});
  p.mask = true;
  const auto chosen = choose_convolution(0, p);
  EXPECT_EQ(remembered_plan(library_identity(0), to_string(p) + " deterministic"), chosen->name());
  EXPECT_EQ(choose_convolution(0, p), chosen);
}

TEST_F(PlanCache, TakesANameBackFromDisk) {
  ConvolutionPattern p = pattern(false, 16, 8, 1, 5, 9, {1, 1, 0, 0}, {3, 1, 1, 1});
  p.bias = true;
  const auto ways = convolution_ways(0, p, true);
  for (const std::string& name : {ways.back()->name(), std::string("whole: no such plan")}) {
    ++p.images;  // a pattern that was not chosen yet
    remember_plan(library_identity(0), to_string(p) + " deterministic", name);
    const auto chosen = choose_convolution(0, p);
    if (name == ways.back()->name()) EXPECT_EQ(chosen->name(), name);
    else EXPECT_NE(chosen->name(), name);
  }
}

TEST_F(PlanCache, PassesOverDamage) {
  remember_plan("device", "pattern", "plan 1");
  {
    std::ofstream file(folder / "cuda-plans.tsv", std::ios::app);
    file << "no tabs\n\t\n\ttoo\tmany\ttabs\n" << std::string(5000, 'x') << "\ndevice\tcut off\t";
  }
  EXPECT_EQ(remembered_plan("device", "pattern"), "plan 1");
  EXPECT_EQ(remembered_plan("device", "cut off"), std::nullopt);
  remember_plan("device", "a\tb", "never stored");
  EXPECT_EQ(remembered_plan("device", "a\tb"), std::nullopt);
  remember_plan("device", "pattern", "plan 2");
  EXPECT_EQ(remembered_plan("device", "pattern"), "plan 2");
}

TEST_F(PlanCache, KeepsCompiledPlansAndSeesDamage) {
  const std::string plan = "{\"binary\": \"" + std::string(100000, 'A') + "\"}";
  keep_compiled_plan("device pattern", plan);
  EXPECT_EQ(compiled_plan("device pattern"), plan);
  EXPECT_EQ(compiled_plan("device another"), std::nullopt);
  for (const auto& file : std::filesystem::directory_iterator(folder / "plans")) {
    std::fstream f(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    f.seekp(5000);
    f.put('B');
  }
  EXPECT_EQ(compiled_plan("device pattern"), std::nullopt);
}

TEST_F(PlanCache, DoesWithoutAFolder) {
  std::ofstream(folder.string()) << "a file where the folder should be";
  remember_plan("device", "pattern", "plan");
  EXPECT_EQ(remembered_plan("device", "pattern"), std::nullopt);
}

TEST_F(PlanCache, ThreadsDoNotLoseEachOthersLines) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 8; ++i) remember_plan("device", std::to_string(t) + " " + std::to_string(i), "plan");
    });
  for (auto& t : threads) t.join();
  for (int t = 0; t < 4; ++t)
    for (int i = 0; i < 8; ++i) EXPECT_TRUE(remembered_plan("device", std::to_string(t) + " " + std::to_string(i)));
}

}  // namespace
}  // namespace limpid::cuda
