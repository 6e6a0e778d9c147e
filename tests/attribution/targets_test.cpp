// Several targets of the same inputs in one run give what each gives alone, to the bit where nothing is cut otherwise.
#include <limpid/attribution/attribution.h>
#include <limpid/runtime/error.h>

#include <gtest/gtest.h>

#include "../support/graphs.h"

namespace limpid::testing {
namespace {

/// The small residual network as a model of three classes.
const Explainer& explainer(const char* device) {
  const auto make = [](const char* place) {
    ModelDefinition d;
    d.name = "small";
    d.build = [](Value x) { return small_residual_network(x); };
    d.labels = {"a", "b", "c"};
    d.default_layer = "last";
    return Explainer(Model::define(std::move(d)), on(place));
  };
  static const Explainer cpu = make("cpu"), reference = make("reference");
  return std::string_view(device) == "cpu" ? cpu : reference;
}

const Tensor& pictures() {
  static const Tensor x = random_tensor({2, 3, 19, 17}, 5, -1, 1, DType::f32);
  return x;
}

Target neuron(std::int64_t channel) {
  Target t;
  t.layer = "last";
  t.neuron = {channel, 1, 0};
  return t;
}

/// `method(target or targets)` alone and together, over classes, a class a sample, the class left open, and a neuron.
template <class Method, class Options>
void agree(Method method, Options options, bool neurons = true) {
  for (const char* device : {"reference", "cpu"}) {
    std::vector<Target> targets{Target(2), Target(std::vector<std::int64_t>{0, 1}), Target()};
    if (neurons) targets.push_back(neuron(3));
    const std::vector<Attribution> together = method(explainer(device), pictures(), Targets(targets), options);
    ASSERT_EQ(together.size(), targets.size());
    for (std::size_t i = 0; i < targets.size(); ++i) {
      options.target = targets[i];
      const Attribution alone = method(explainer(device), pictures(), options);
      EXPECT_EQ(together[i].targets, alone.targets) << device << " target " << i;
      EXPECT_LT(max_difference(together[i].attributions, alone.attributions), 1e-5) << device << " target " << i;
      for (std::size_t n = 0; n < 2; ++n) EXPECT_NEAR(together[i].scores[n], alone.scores[n], 1e-5);
      ASSERT_EQ(together[i].convergence_delta.size(), alone.convergence_delta.size());
      for (std::size_t n = 0; n < alone.convergence_delta.size(); ++n) EXPECT_NEAR(together[i].convergence_delta[n], alone.convergence_delta[n], 1e-4);
    }
    EXPECT_GT(max_difference(together[0].attributions, together[1].attributions), 1e-4) << "the targets differ";
  }
}

#define LIMPID_METHOD(name) [](const Explainer& e, const Tensor& x, const auto&... rest) { return name(e, x, rest...); }

TEST(SeveralTargets, Saliency) { agree(LIMPID_METHOD(saliency), SaliencyOptions{}); }
TEST(SeveralTargets, InputXGradient) { agree(LIMPID_METHOD(input_x_gradient), InputXGradientOptions{}); }
TEST(SeveralTargets, GuidedBackprop) { agree(LIMPID_METHOD(guided_backprop), ModifiedGradientOptions{}); }
TEST(SeveralTargets, Deconvolution) { agree(LIMPID_METHOD(deconvolution), ModifiedGradientOptions{}); }
TEST(SeveralTargets, GradCam) { agree(LIMPID_METHOD(gradcam), GradCamOptions{}); }
TEST(SeveralTargets, GuidedGradCam) { agree(LIMPID_METHOD(guided_gradcam), GuidedGradCamOptions{}); }
TEST(SeveralTargets, IntegratedGradients) {
  IntegratedGradientsOptions o;
  o.n_steps = 7;
  o.return_convergence_delta = true;
  agree(LIMPID_METHOD(integrated_gradients), o);
}
TEST(SeveralTargets, Occlusion) {
  OcclusionOptions o;
  o.sliding_window_shapes = {3, 5, 4};
  o.strides = {3, 3, 4};
  agree(LIMPID_METHOD(occlusion), o);
}
TEST(SeveralTargets, FeatureAblation) {
  FeatureAblationOptions o;
  o.feature_mask = grid_feature_mask(19, 17, 3, 2);
  agree(LIMPID_METHOD(feature_ablation), o);
}

TEST(SeveralTargets, NoneIsRefused) {
  EXPECT_THROW(saliency(explainer("cpu"), pictures(), Targets(std::vector<Target>{})), Error);
}

}  // namespace
}  // namespace limpid::testing
