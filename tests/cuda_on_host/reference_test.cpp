// Every method on the bundled models through the CUDA backend against the small float64 references (tests/references): on the host in this
// folder's program, on a device in tests/cuda's.
#include "../support/paths.h"
#include "../support/reference_cases.h"

#include <limpid/runtime/backend.h>

namespace limpid::testing {
namespace {

class CudaReference : public ::testing::TestWithParam<std::tuple<const char*, const char*, Precision>> {};

/// 16 bits carry two or three digits, and a unit that rounding moves across its kink passes or stops a whole gradient: these bounds tell a wrong
/// method from a rounded one, no more. EfficientNet's logits alone are off by 3.3e-2 in bf16. f16 has three bits more, so
/// an eighth of the units flip and the error falls by less than the root of that: its saliency from 0.45 (the cpu backend in bf16) to 0.21.
double bound(Family family, Precision precision, bool inner) {
  if (precision == Precision::f32) return inner ? 1e-2 : f32_bound(family);
  const double widest = family == Family::logits ? 6e-2 : family == Family::gradcam && !inner ? 0.2 : 0.6;
  return precision == Precision::bf16 ? widest : widest / 2;
}

TEST_P(CudaReference, EveryTensor) {
  const auto [model, set, precision] = GetParam();
  if (cuda_backend()->devices().empty()) GTEST_SKIP() << "NOT TESTED: no NVIDIA device. " << cuda_backend()->why_none();
  const SafetensorsFile file = read_safetensors(source_dir() / "tests/data" / (std::string(model) + "." + set + ".safetensors"));
  CompileOptions options;
  options.device = "cuda";
  options.precision = precision;
  options.internal_batch_size = 8;  // the stand-in's loops take long
  const Explainer explainer(Model::load(model), options);
  int compared = 0;
  for (const auto& [name, expected] : file.tensors) {
    if (name == "input") continue;
    const Measured m = compute(explainer, file, name);
    if (!m.applies) continue;
    ++compared;
    ASSERT_EQ(m.computed.shape(), expected.shape()) << name;
    if (m.family == Family::delta) {
      // A difference of nearly equal numbers: in 16 bits nothing of it is left.
      for (std::int64_t i = 0; precision == Precision::f32 && i < expected.numel(); ++i) EXPECT_NEAR(m.computed.at(i), expected.at(i), 5e-2) << name;
      continue;
    }
    // Below the last block Grad-CAM's gradient passes ReLUs, and one that rounding flips shows in a 3x3 map.
    const bool inner = name == "gradcam.blocks.4" || name == "gradcam.layer3";
    const double error = relative_l2_error(m.computed, expected);
    if (std::getenv("LIMPID_PRINT_ERRORS")) std::fprintf(stderr, "%s %s %s: %.3g\n", model, limpid::name_of(precision).data(), name.c_str(), error);
    EXPECT_LT(error, bound(m.family, precision, inner)) << name;
  }
  EXPECT_GE(compared, 2);
}

const auto names = [](const auto& i) { return std::string(std::get<0>(i.param)) + "_" + std::get<1>(i.param) + "_" + std::string(limpid::name_of(std::get<2>(i.param))); };
INSTANTIATE_TEST_SUITE_P(Small, CudaReference,
                         ::testing::Combine(::testing::Values("efficientnet_lite0", "resnet18_imagenette"), ::testing::Values("75x66", "batch", "layers"), ::testing::Values(Precision::f32)),
                         names);
// One set suffices to see that the methods hold together in 16 bits; the op cases say how exact each op is.
INSTANTIATE_TEST_SUITE_P(SmallIn16Bits, CudaReference,
                         ::testing::Combine(::testing::Values("efficientnet_lite0", "resnet18_imagenette"), ::testing::Values("batch"), ::testing::Values(Precision::bf16, Precision::f16)), names);

}  // namespace
}  // namespace limpid::testing
