// Every op on the CPU backend against the reference in f64: forward, backward, in a sweep cut in several ways, in f32 and bf16.
#include "../support/op_cases.h"

#include <cstring>
#include <set>

namespace limpid::testing {
namespace {

class CpuOp : public ::testing::TestWithParam<OpCase> {
 protected:
  template <class Measure>
  void agrees(Precision precision, Measure difference, double tolerance) const {
    for (const Variant variant : variants(GetParam()))
      for (const std::int64_t batch : {1, 3}) {
        const BuiltCase b = build(GetParam(), variant, batch);
        const auto expected = run(b, on("reference", Precision::f64)), got = run(b, on("cpu", precision));
        EXPECT_LE(difference(got[0], expected[0]), tolerance) << name_of(variant) << ", batch " << batch;
      }
  }
};

TEST_P(CpuOp, AgreesInF32) { agrees(Precision::f32, relative_difference, GetParam().f32); }

TEST_P(CpuOp, AgreesInBf16) {
  if (!cpu_backend()->supports(Precision::bf16)) GTEST_SKIP() << "NOT TESTED: this processor has no bf16 arithmetic";
  agrees(Precision::bf16, rms_difference, GetParam().bf16);
}

TEST_P(CpuOp, DoesNotDependOnTheCut) {
  for (const Variant variant : variants(GetParam())) {
    const BuiltCase b = build(GetParam(), variant, 3);
    if (b.graph->sweep() == 0) continue;
    CompileOptions o = on("cpu");
    o.internal_batch_size = 16;
    const auto whole = run(b, o);
    for (const std::int64_t chunk : {1, 2, 3, 7}) {
      o.internal_batch_size = chunk;
      const auto cut = run(b, o);
      if (GetParam().same_bits)
        EXPECT_EQ(std::memcmp(whole[0].raw(), cut[0].raw(), whole[0].bytes()), 0) << name_of(variant) << ", chunk " << chunk << ": differs by " << max_difference(whole[0], cut[0]);
      else
        EXPECT_LE(relative_difference(cut[0], whole[0]), GetParam().f32) << name_of(variant) << ", chunk " << chunk;
    }
  }
}

TEST_P(CpuOp, DoesNotDependOnTheMemoryPlan) {
  for (const Variant variant : variants(GetParam())) {
    const BuiltCase b = build(GetParam(), variant, 2);
    CompileOptions o = on("cpu");
    const auto planned = run(b, o);
    o.passes.plan_memory = false;
    const auto apart = run(b, o);
    EXPECT_EQ(std::memcmp(planned[0].raw(), apart[0].raw(), planned[0].bytes()), 0) << name_of(variant);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, CpuOp, ::testing::ValuesIn(op_cases()), [](const auto& test) { return test.param.name; });

TEST(OpCases, CoverEveryOp) {
  std::set<const OpDef*> seen;
  for (const OpCase& c : op_cases())
    for (const Variant variant : variants(c)) {
      const BuiltCase b = build(c, variant);
      for (const Node& n : b.graph->nodes()) seen.insert(n.op);
    }
  for (const OpDef* op : ops::all()) EXPECT_TRUE(seen.count(op)) << op->name << " is in no case";
}

}  // namespace
}  // namespace limpid::testing
