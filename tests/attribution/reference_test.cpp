// The embedded models against small float64 references made with PyTorch and Captum (tests/references): every method, odd
// sizes, per-sample targets, other baselines, all integration rules; on the reference backend in f64 and on the CPU in f32.
#include "../support/paths.h"
#include "../support/reference_cases.h"

namespace limpid::testing {
namespace {

struct Place {
  const char* device;
  Precision precision;
  friend std::ostream& operator<<(std::ostream& out, const Place& p) { return out << p.device << ' ' << name_of(p.precision); }
};

class Reference : public ::testing::TestWithParam<std::tuple<const char*, const char*, Place>> {};

TEST_P(Reference, EveryTensor) {
  const auto [model, set, place] = GetParam();
  const SafetensorsFile file = read_safetensors(source_dir() / "tests/data" / (std::string(model) + "." + set + ".safetensors"));
  CompileOptions options;
  options.device = place.device;
  options.precision = place.precision;
  const Explainer explainer(Model::load(model), options);
  int compared = 0;
  for (const auto& [name, expected] : file.tensors) {
    if (name == "input") continue;
    const Measured m = compute(explainer, file, name);
    if (!m.applies) continue;
    ++compared;
    ASSERT_EQ(m.computed.shape(), expected.shape()) << name;
    if (m.family == Family::delta) {
      // A difference of nearly equal numbers: judged against the score that it is a part of. In f32 a path's points lie on other sides of a
      // ReLU6's kinks than in f64, and every such step of the gradient shows in full.
      for (std::int64_t i = 0; i < expected.numel(); ++i) EXPECT_NEAR(m.computed.at(i), expected.at(i), place.precision == Precision::f64 ? 2e-6 : 1e-1) << name;
    } else if (place.precision == Precision::f64) {
      EXPECT_LT(relative_max_error(m.computed, expected), 1e-6) << name;
    } else {
      // Below the last block Grad-CAM's gradient passes ReLUs, and one that rounding flips shows in a 3x3 map.
      const bool inner = name == "gradcam.blocks.4" || name == "gradcam.layer3";
      EXPECT_LT(relative_l2_error(m.computed, expected), inner ? 1e-2 : f32_bound(m.family)) << name;
    }
  }
  EXPECT_GE(compared, 2);
}

INSTANTIATE_TEST_SUITE_P(Small, Reference,
                         ::testing::Combine(::testing::Values("efficientnet_lite0", "resnet18_imagenette"), ::testing::Values("64", "75x66", "batch", "layers"),
                                            ::testing::Values(Place{"reference", Precision::f64}, Place{"cpu", Precision::f32})),
                         [](const auto& i) {
                           return std::string(std::get<0>(i.param)) + "_" + std::get<1>(i.param) + "_" + std::get<2>(i.param).device;
                         });

}  // namespace
}  // namespace limpid::testing
