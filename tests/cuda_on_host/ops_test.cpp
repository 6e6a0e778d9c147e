// Every op on the CUDA backend, run on the host, against the reference in f64: forward, backward, in a sweep cut in several ways, in all
// four precisions; and where the library lacks fused plans.
#include "../support/op_cases.h"
#include "on_host.h"

#include <cstring>

namespace limpid::testing {
namespace {

/// Runs it twice: the first run queues step by step, the second replays what it captures.
std::vector<Tensor> run_twice(const BuiltCase& b, const CompileOptions& options) {
  const auto executable = compile(*b.graph, b.outputs, options);
  const auto first = executable->run(b.inputs), again = executable->run(b.inputs);
  for (std::size_t k = 0; k < first.size(); ++k) EXPECT_EQ(std::memcmp(first[k].raw(), again[k].raw(), first[k].bytes()), 0) << "the replay differs by " << max_difference(first[k], again[k]);
  return again;
}

/// Three bits more than bf16 has: an eighth of its error. Where units cross their kinks, an eighth of them does, and their root mean square falls by
/// the root of that; a way that rounds the sums before its epilogue doubles it.
double with_ten_bits(const OpCase& c) { return c.bf16 / (c.bf16 >= across_kinks ? std::sqrt(8.0) / 2 : 8.0); }

class CudaOp : public ::testing::TestWithParam<OpCase> {
 protected:
  template <class Measure>
  void agrees(Precision precision, Measure difference, double tolerance) const {
    for (const Variant variant : variants(GetParam()))
      for (const std::int64_t batch : {1, 3}) {
        const BuiltCase b = build(GetParam(), variant, batch);
        const auto expected = run(b, on("reference", Precision::f64)), got = run_twice(b, on("cuda", precision));
        EXPECT_LE(difference(got[0], expected[0]), tolerance) << name_of(variant) << ", batch " << batch;
      }
  }
};

TEST_P(CudaOp, AgreesInF32) { agrees(Precision::f32, relative_difference, GetParam().f32); }
TEST_P(CudaOp, AgreesInBf16) { agrees(Precision::bf16, rms_difference, GetParam().bf16); }
TEST_P(CudaOp, AgreesInTf32) { agrees(Precision::tf32, rms_difference, with_ten_bits(GetParam())); }
TEST_P(CudaOp, AgreesInF16) { agrees(Precision::f16, rms_difference, with_ten_bits(GetParam())); }

TEST_P(CudaOp, DoesNotDependOnTheCut) {
  for (const Variant variant : variants(GetParam())) {
    const BuiltCase b = build(GetParam(), variant, 3);
    if (b.graph->sweep() == 0) continue;
    CompileOptions o = on("cuda");
    o.internal_batch_size = 16;
    const auto whole = run(b, o);
    for (const std::int64_t chunk : {1, 2, 3, 7}) {
      o.internal_batch_size = chunk;
      const auto cut = run(b, o);
      // Not to the bit: another number of rows may have another fastest way, which adds bias and addend in another order.
      EXPECT_LE(relative_difference(cut[0], whole[0]), GetParam().f32) << name_of(variant) << ", chunk " << chunk;
    }
  }
}

TEST_P(CudaOp, DoesNotDependOnTheMemoryPlan) {
  for (const Variant variant : variants(GetParam())) {
    const BuiltCase b = build(GetParam(), variant, 2);
    CompileOptions o = on("cuda");
    const auto planned = run(b, o);
    o.passes.plan_memory = false;
    const auto apart = run(b, o);
    EXPECT_EQ(std::memcmp(planned[0].raw(), apart[0].raw(), planned[0].bytes()), 0) << name_of(variant);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, CudaOp, ::testing::ValuesIn(op_cases()), [](const auto& test) { return test.param.name; });

/// Convolutions with something fused behind them, where the library has only a part of the fusion.
class CudaLessFusion : public ::testing::TestWithParam<OpCase> {};

TEST_P(CudaLessFusion, AgreesWhereTheLibraryHasLess) {
  using cuda::on_host::Fusion;
  const auto before = cuda::on_host::settings();
  for (const Fusion fusion : {Fusion::no_masks, Fusion::bare})
    for (const bool depthwise : {true, false})
      for (const Precision precision : {Precision::f32, Precision::f16})
        for (const Variant variant : variants(GetParam())) {
          cuda::on_host::settings().fusion = fusion;
          cuda::on_host::settings().depthwise = depthwise;
          const BuiltCase b = build(GetParam(), variant, 2);
          const auto got = run(b, on("cuda", precision)), expected = run(b, on("reference", Precision::f64));
          if (precision == Precision::f32) EXPECT_LE(relative_difference(got[0], expected[0]), GetParam().f32) << name_of(variant);
          else EXPECT_LE(rms_difference(got[0], expected[0]), with_ten_bits(GetParam())) << name_of(variant);
        }
  cuda::on_host::settings() = before;
}

INSTANTIATE_TEST_SUITE_P(Cases, CudaLessFusion, ::testing::ValuesIn(convolution_cases()), [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace limpid::testing
