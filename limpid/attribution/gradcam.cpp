// Grad-CAM (Selvaraju et al. 2017): a layer's channels, weighted by the mean gradient of the score in each, and added up; and
// guided Grad-CAM, that map upsampled and multiplied with guided backpropagation.
#include <limpid/attribution/attribution_graph.h>

namespace limpid {
namespace {

/// Equations 1 and 2 without the ReLU -> [1,h,w].
Value class_activation_map(const AttributionGraph::Scored& network, std::string_view layer) {
  const Value activation = network.activations.at(layer);
  require(activation.shape().rank() == 3, "Grad-CAM needs a layer with spatial extent; '", layer, "' has the shape ", activation.shape(), ".");
  return channel_weighted_sum(global_avg_pool(gradient(network.score, activation)), activation);
}

std::string_view chosen(const Explainer& explainer, const std::string& layer) { return layer.empty() ? explainer.model().default_layer() : layer; }

}  // namespace

Attribution gradcam(const Explainer& explainer, const Tensor& inputs, const GradCamOptions& options, const RunOptions& run) {
  AttributionGraph a(explainer, inputs, options.target, run);
  const auto network = a.trace(a.input);
  const Value map = class_activation_map(network, chosen(explainer, options.layer));
  return a.run(options.relu_attributions ? relu(map) : map, network.score);
}

Attribution guided_gradcam(const Explainer& explainer, const Tensor& inputs, const GuidedGradCamOptions& options, const RunOptions& run) {
  AttributionGraph a(explainer, inputs, options.target, run);
  const Shape& shape = a.input.shape();
  const auto network = a.trace(a.input);
  const Value map = relu(class_activation_map(network, chosen(explainer, options.layer)));
  const Value upsampled = interpolate(map, shape[1], shape[2], options.interpolate_mode);
  const Value guided = gradient(network.score, a.input, RuleBook::guided());
  return a.run(guided * broadcast_channels(upsampled, shape[0]), network.score);
}

}  // namespace limpid
