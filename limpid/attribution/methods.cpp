// The names of the methods, and each for the one target of its options.
#include <limpid/attribution/attribution.h>

#include <utility>

namespace limpid {

std::span<const std::string> attribution_methods() {
  static const std::string names[] = {"saliency", "input_x_gradient", "integrated_gradients", "guided_backprop", "deconvolution", "gradcam", "guided_gradcam", "occlusion", "feature_ablation"};
  return names;
}

Attribution saliency(const Explainer& explainer, const Tensor& inputs, const SaliencyOptions& options, const RunOptions& run) {
  return std::move(saliency(explainer, inputs, Targets({options.target}), options, run).front());
}
Attribution input_x_gradient(const Explainer& explainer, const Tensor& inputs, const InputXGradientOptions& options, const RunOptions& run) {
  return std::move(input_x_gradient(explainer, inputs, Targets({options.target}), options, run).front());
}
Attribution integrated_gradients(const Explainer& explainer, const Tensor& inputs, const IntegratedGradientsOptions& options, const RunOptions& run) {
  return std::move(integrated_gradients(explainer, inputs, Targets({options.target}), options, run).front());
}
Attribution guided_backprop(const Explainer& explainer, const Tensor& inputs, const ModifiedGradientOptions& options, const RunOptions& run) {
  return std::move(guided_backprop(explainer, inputs, Targets({options.target}), options, run).front());
}
Attribution deconvolution(const Explainer& explainer, const Tensor& inputs, const ModifiedGradientOptions& options, const RunOptions& run) {
  return std::move(deconvolution(explainer, inputs, Targets({options.target}), options, run).front());
}
Attribution gradcam(const Explainer& explainer, const Tensor& inputs, const GradCamOptions& options, const RunOptions& run) {
  return std::move(gradcam(explainer, inputs, Targets({options.target}), options, run).front());
}
Attribution guided_gradcam(const Explainer& explainer, const Tensor& inputs, const GuidedGradCamOptions& options, const RunOptions& run) {
  return std::move(guided_gradcam(explainer, inputs, Targets({options.target}), options, run).front());
}
Attribution occlusion(const Explainer& explainer, const Tensor& inputs, const OcclusionOptions& options, const RunOptions& run) {
  return std::move(occlusion(explainer, inputs, Targets({options.target}), options, run).front());
}
Attribution feature_ablation(const Explainer& explainer, const Tensor& inputs, const FeatureAblationOptions& options, const RunOptions& run) {
  return std::move(feature_ablation(explainer, inputs, Targets({options.target}), options, run).front());
}

}  // namespace limpid
