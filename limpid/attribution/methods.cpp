#include <limpid/attribution/attribution.h>

namespace limpid {

std::span<const std::string> attribution_methods() {
  static const std::string names[] = {"saliency", "input_x_gradient", "integrated_gradients", "guided_backprop", "deconvolution", "gradcam", "guided_gradcam", "occlusion", "feature_ablation"};
  return names;
}

}  // namespace limpid
