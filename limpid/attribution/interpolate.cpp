#include <limpid/attribution/attribution.h>
#include <limpid/runtime/ops.h>

namespace limpid {

Tensor interpolate(const Tensor& attributions, std::int64_t rows, std::int64_t columns, Interpolation mode) {
  require(attributions.shape().rank() == 4, "interpolate: [N, C, H, W] is needed, not ", attributions.shape(), ".");
  Graph graph;
  const Value y = interpolate(graph.input("attributions", attributions.shape().inner()), rows, columns, mode);
  CompileOptions options;
  options.device = "reference";  // too small to be worth a device
  options.precision = attributions.dtype() == DType::f64 ? Precision::f64 : Precision::f32;
  return compile(graph, std::span<const Value>(&y, 1), options)->run(std::span<const Tensor>(&attributions, 1)).front();
}

}  // namespace limpid
