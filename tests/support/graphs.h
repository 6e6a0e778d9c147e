#pragma once
// Small graphs with random numbers, and their runs on a named backend.
#include <limpid/runtime/autodiff.h>
#include <limpid/runtime/executable.h>
#include <limpid/runtime/ops.h>

#include <random>

namespace limpid::testing {

inline Tensor random_tensor(Shape shape, unsigned seed, double low = -1, double high = 1, DType dtype = DType::f64) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  Tensor t(std::move(shape), DType::f64);
  for (double& v : t.span<double>()) v = uniform(generator);
  return t.to(dtype);
}

inline CompileOptions on(std::string device, Precision precision = Precision::automatic) {
  CompileOptions o;
  o.device = std::move(device);
  o.precision = precision;
  return o;
}

inline std::vector<Tensor> run(const std::vector<Value>& outputs, const std::vector<Tensor>& inputs, const CompileOptions& options) {
  return compile(*outputs.front().graph, outputs, options)->run(inputs);
}

inline double max_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double worst = 0;
  for (std::int64_t i = 0; i < std::min(a.numel(), b.numel()); ++i) worst = std::max(worst, std::abs(a.at(i) - b.at(i)));
  return worst;
}

/// A network with all that ResNets have: batch norm, a reused ReLU, a residual add, pooling, stride; [C,H,W] -> [3].
inline Value small_residual_network(Value x, unsigned seed = 1) {
  Graph& g = *x.graph;
  const auto c = [&](Shape s, double low = -0.5, double high = 0.5) { return g.constant(random_tensor(std::move(s), ++seed, low, high)); };
  const auto norm = [&](Value v) {
    const Shape s{v.shape()[0]};
    return batch_norm(v, c(s, 0.5, 1.5), c(s), c(s), c(s, 0.5, 2));
  };
  Value y = relu(norm(conv2d(x, c({8, x.shape()[0], 3, 3}), {}, {{2, 2}, {1, 1}, {1, 1}})));
  y = max_pool(y, {{3, 3}, {2, 2}, {1, 1}});
  Value z = relu(norm(conv2d(y, c({8, 8, 3, 3}), {}, {{1, 1}, {1, 1}, {1, 1}})));
  z = norm(conv2d(z, c({8, 8, 3, 3}), {}, {{1, 1}, {1, 1}, {1, 1}}));
  y = relu(z + y);
  z = norm(conv2d(y, c({12, 8, 1, 1}), {}, {{2, 2}}));
  y = relu6(norm(conv2d(y, c({12, 8, 3, 3}), {}, {{2, 2}, {1, 1}, {1, 1}})) + z);
  g.name(y, "last");
  return linear(global_avg_pool(y), c({3, 12}), c({3}));
}

}  // namespace limpid::testing
