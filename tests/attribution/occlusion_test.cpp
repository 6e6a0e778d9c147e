// Incremental occlusion and ablation on the embedded models: what comes out is what the whole computation gives, up to rounding.
#include <gtest/gtest.h>
#include <limpid/attribution/attribution.h>

#include <cmath>
#include <random>

namespace limpid::testing {
namespace {

Tensor picture(std::int64_t samples, std::int64_t rows, std::int64_t columns) {
  std::mt19937 generator(5);
  std::uniform_real_distribution<float> uniform(-2, 2);
  Tensor t(Shape{samples, 3, rows, columns});
  for (float& v : t.span<float>()) v = uniform(generator);
  return t;
}

/// The largest difference over the largest score: attributions are differences of scores.
double difference(const Attribution& a, const Attribution& b) {
  double worst = 0, score = 0;
  for (std::int64_t i = 0; i < a.attributions.numel(); ++i) worst = std::max(worst, std::fabs(a.attributions.at(i) - b.attributions.at(i)));
  for (const double s : b.scores) score = std::max(score, std::fabs(s));
  return worst / score;
}

class Crops : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  template <class Method>
  void agree(Method method) const {
    const auto [model, device] = GetParam();
    const bool reference = std::string_view(device) == "reference";
    const auto result = [&](bool crops) {
      CompileOptions options;
      options.device = device;
      options.precision = reference ? Precision::f64 : Precision::f32;
      options.passes.crop_windows = crops;
      return method(Explainer(Model::load(model), options));
    };
    EXPECT_LE(difference(result(true), result(false)), reference ? 1e-12 : 5e-5);
  }
};

TEST_P(Crops, AgreeForOcclusion) {
  agree([](const Explainer& e) { return occlusion(e, picture(1, 75, 66), {3, {3, 9, 11}, {3, 9, 8}}); });
}
TEST_P(Crops, AgreeForWindowsOfOneChannel) {
  agree([](const Explainer& e) { return occlusion(e, picture(2, 64, 64), {Target(std::vector<std::int64_t>{3, 5}), {1, 20, 14}, {1, 20, 14}, Baseline::blur(2)}); });
}
TEST_P(Crops, AgreeForANeuron) {
  agree([](const Explainer& e) {
    Target neuron;
    neuron.layer = e.model().architecture() == "resnet18" ? "layer3" : "blocks.4";
    neuron.neuron = {7, 1, 2};
    return occlusion(e, picture(1, 64, 64), {neuron, {3, 15, 15}, {3, 12, 12}});
  });
}
TEST_P(Crops, AgreeForAblationOfRectangles) {
  agree([](const Explainer& e) { return feature_ablation(e, picture(1, 75, 66), {3, 0.5, grid_feature_mask(75, 66, 4, 5)}); });
}

INSTANTIATE_TEST_SUITE_P(Embedded, Crops, ::testing::Combine(::testing::Values("efficientnet_lite0", "resnet18_imagenette"), ::testing::Values("reference", "cpu")),
                         [](const auto& test) { return std::string(std::get<0>(test.param)) + '_' + std::get<1>(test.param); });

TEST(CropsOfMasks, AnotherMaskHasItsOwnBoxes) {
  // As many features in other places: the second run must not take the first one's boxes.
  CompileOptions options;
  options.device = "cpu";
  const Explainer e(Model::load("resnet18_imagenette"), options);
  const Tensor x = picture(1, 64, 64), across = grid_feature_mask(64, 64, 1, 8), down = grid_feature_mask(64, 64, 8, 1);
  feature_ablation(e, x, {3, {}, across});
  const Attribution second = feature_ablation(e, x, {3, {}, down});
  const Explainer fresh(Model::load("resnet18_imagenette"), options);
  EXPECT_EQ(difference(second, feature_ablation(fresh, x, {3, {}, down})), 0);
}

TEST(CropsOfMasks, MemoryDoesNotGrowWithTheWindows) {
  CompileOptions options;
  options.device = "cpu";
  options.internal_batch_size = 36;
  const Explainer e(Model::load("resnet18_imagenette"), options);
  const Tensor x = picture(1, 96, 96);
  const auto peak = [&](std::int64_t stride) { return static_cast<double>(occlusion(e, x, {3, {3, 8, 8}, {3, stride, stride}}).peak_bytes); };
  EXPECT_LT(peak(4), 1.1 * peak(8));  // 529 windows and 144
}

}  // namespace
}  // namespace limpid::testing
