// Grad-CAM (Selvaraju et al. 2017): a layer's channels, weighted by the mean gradient of the score in each, and added up; and
// guided Grad-CAM, that map upsampled and multiplied with guided backpropagation.
#include <limpid/attribution/attribution_graph.h>

namespace limpid {
namespace {

/// The layer's value in a trace. Throws where it has no extent.
Value activation_of(const Activations& network, const Explainer& explainer, const std::string& named) {
  const std::string_view layer = named.empty() ? explainer.model().default_layer() : named;
  const Value activation = network.at(layer);
  require(activation.shape().rank() == 3, "Grad-CAM needs a layer with spatial extent; '", layer, "' has the shape ", activation.shape(), ".");
  return activation;
}

/// Equations 1 and 2 without the ReLU -> [1,h,w].
Value class_activation_map(Value score, Value activation) { return channel_weighted_sum(global_avg_pool(gradient(score, activation)), activation); }

}  // namespace

std::vector<Attribution> gradcam(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const GradCamOptions& options, const RunOptions& run) {
  AttributionGraph a(explainer, inputs, targets.each, run);
  const auto network = a.trace(a.input);
  const Value activation = activation_of(network.activations, explainer, options.layer);
  return a.run(network.scores, [&](Value score, std::size_t) {
    const Value map = class_activation_map(score, activation);
    return options.relu_attributions ? relu(map) : map;
  });
}

std::vector<Attribution> guided_gradcam(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const GuidedGradCamOptions& options, const RunOptions& run) {
  AttributionGraph a(explainer, inputs, targets.each, run);
  const Shape& shape = a.input.shape();
  const auto network = a.trace(a.input);
  const Value activation = activation_of(network.activations, explainer, options.layer);
  return a.run(network.scores, [&](Value score, std::size_t) {
    const Value upsampled = interpolate(relu(class_activation_map(score, activation)), shape[1], shape[2], options.interpolate_mode);
    return gradient(score, a.input, RuleBook::guided()) * broadcast_channels(upsampled, shape[0]);
  });
}

}  // namespace limpid
