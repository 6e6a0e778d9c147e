#include <limpid/nn/layers.h>

namespace limpid::nn {

Value Builder::conv(const std::string& n, Value x, std::int64_t outputs, std::int64_t kernel, const Conv2dOptions& options) const {
  const Value weight = parameters.constant(graph, n + ".weight", Shape{outputs, x.shape()[0] / options.groups, kernel, kernel});
  return name(conv2d(x, weight, {}, options), n);
}

Value Builder::norm(const std::string& n, Value x, double epsilon) const {
  const Shape shape{x.shape()[0]};
  const auto p = [&](const char* what) { return parameters.constant(graph, n + what, shape); };
  const Value weight = p(".weight"), bias = p(".bias"), mean = p(".running_mean"), var = p(".running_var");
  return name(batch_norm(x, weight, bias, mean, var, epsilon), n);
}

Value Builder::linear(const std::string& n, Value x, std::int64_t outputs) const {
  const Value weight = parameters.constant(graph, n + ".weight", Shape{outputs, x.shape()[0]});
  return name(limpid::linear(x, weight, parameters.constant(graph, n + ".bias", Shape{outputs})), n);
}

}  // namespace limpid::nn
