// The planner's figure against what the process takes: what a run adds to the resident memory is its workspace and little else, however many steps or
// windows a method has. Each test measures in a process of its own (a death test of the threadsafe style starts the program anew), so that memory which
// other tests gave back to the allocator does not hide anything.
#include <limpid/attribution/attribution.h>

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>

#include "../support/graphs.h"

namespace limpid::testing {
namespace {

constexpr double mebibyte = 1 << 20;
// Beside the workspace: a run's inputs and results, graph and steps, what the allocator and the thread library keep, and weights in arrangements that the
// first run did not need.
constexpr double allowance = 3 * mebibyte;

/// A line of /proc/self/status in bytes: VmRSS now, VmHWM the most since `forget_peak`.
double resident(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field + ":")) return std::strtod(line.c_str() + field.size() + 1, nullptr) * 1024;
  return 0;
}

bool forget_peak() {
  std::ofstream("/proc/self/clear_refs") << "5";
  const double now = resident("VmRSS"), most = resident("VmHWM");
  return now > 0 && most < now + mebibyte;
}

/// Whether the system tells; the sanitizers keep memory of their own.
bool can_measure() {
#ifdef LIMPID_SANITIZE
  return false;
#else
  std::vector<char> touched(std::size_t{64} << 20, 1);  // a peak that must be forgotten
  const double with = resident("VmHWM");
  std::vector<char>().swap(touched);
  return forget_peak() && resident("VmHWM") < with - 32 * mebibyte;
#endif
}

struct Measured {
  double planned, taken;  // bytes
};

using Job = std::function<Attribution(const Explainer&, std::int64_t size)>;

/// The job at two sizes, each with an explainer of its own that has nothing yet but the model's packed weights, which one more holds.
std::vector<Measured> measure(const Job& job, const std::vector<std::int64_t>& sizes, std::size_t budget, std::int64_t rows) {
  CompileOptions options = on("cpu", Precision::f32);
  options.max_memory = budget;
  options.internal_batch_size = rows;
  mallopt(M_MMAP_THRESHOLD, 1 << 20);  // what was freed while weights were packed must not serve again
  const auto model = Model::load("random", "resnet18");
  const Explainer first(model, options);
  job(first, sizes.front());
  std::vector<std::unique_ptr<Explainer>> all;  // kept: freed memory would be taken again
  std::vector<Measured> results;
  for (const std::int64_t size : sizes) {
    all.push_back(std::make_unique<Explainer>(model, options));
    forget_peak();
    const double before = resident("VmRSS");
    const Attribution a = job(*all.back(), size);
    results.push_back({static_cast<double>(a.peak_bytes), resident("VmHWM") - before});
    std::fprintf(stderr, "%lld: planned %.1f MiB, taken %.1f MiB\n", static_cast<long long>(size), results.back().planned / mebibyte, results.back().taken / mebibyte);
  }
  return results;
}

/// Ends the process: with 0 if all is as planned.
[[noreturn]] void judge(const std::vector<Measured>& runs, std::size_t budget, double growth) {
  bool good = true;
  const auto expect = [&](bool holds, const char* what) {
    if (!holds) std::fprintf(stderr, "not so: %s\n", what);
    good &= holds;
  };
  for (const Measured& m : runs) {
    expect(m.planned <= static_cast<double>(budget), "the plan keeps within max_memory");
    expect(m.taken <= m.planned + allowance, "the process takes what is planned and the allowance");
    expect(m.taken >= 0.5 * m.planned, "the plan is not for memory that nobody uses");
    expect(m.planned > 4 * allowance, "the workspace is large enough for this to mean something");
    expect(m.planned <= runs.front().planned + growth, "more steps or windows need no more memory");
  }
  std::exit(good ? 0 : 1);
}

const Tensor& picture() {
  static const Tensor x = random_tensor({1, 3, 192, 192}, 5, -1, 1, DType::f32);
  return x;
}

class MemoryDeathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_measure()) GTEST_SKIP() << "NOT TESTED: no /proc/self/clear_refs, or a build with sanitizers";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
};

Attribution path(const Explainer& e, std::int64_t steps) { return integrated_gradients(e, picture(), {3, {}, static_cast<int>(steps)}); }
Attribution windows(const Explainer& e, std::int64_t stride) { return occlusion(e, picture(), {3, {3, 16, 16}, {3, stride, stride}}); }

// Passes of as many rows at any number of steps: the same plan, but for the rule's own nodes and weights (8 bytes each a step).
TEST_F(MemoryDeathTest, OfIntegratedGradientsIsFlatInSteps) {
  constexpr std::size_t budget = std::size_t{512} << 20;
  EXPECT_EXIT(judge(measure(path, {50, 200}, budget, 10), budget, 2 * 8 * 150 + 4096), ::testing::ExitedWithCode(0), "");
}

// limpid's own choice of rows, as many as the budget has room for.
TEST_F(MemoryDeathTest, OfIntegratedGradientsKeepsWithinTheBudget) {
  constexpr std::size_t budget = std::size_t{24} << 20;
  EXPECT_EXIT(judge(measure(path, {50, 200}, budget, 0), budget, static_cast<double>(budget)), ::testing::ExitedWithCode(0), "");
}

// Windows in other places reach a little further or less far.
TEST_F(MemoryDeathTest, OfOcclusionIsFlatInWindows) {
  constexpr std::size_t budget = std::size_t{512} << 20;
  EXPECT_EXIT(judge(measure(windows, {16, 6}, budget, 25), budget, 1.5 * mebibyte), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace limpid::testing
