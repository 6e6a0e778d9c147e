// conv2d -> batch_norm becomes conv2d with scaled weights and a bias; batch_norm_backward -> conv2d_backward_data becomes
// conv2d_backward_data with the same scaled weights. The products are formed in f64 and shared between graphs of one model.
#include <limpid/runtime/parallel.h>
#include <limpid/runtime/passes/passes.h>
#include <limpid/runtime/passes/rewrite.h>

#include <cmath>

namespace limpid::passes {
namespace {

std::string what(std::string_view name, DType dtype, double epsilon) { return std::string(name) + ' ' + std::string(name_of(dtype)) + ' ' + std::to_string(epsilon); }

/// weight[o] / sqrt(var[o] + epsilon)
std::vector<double> factors(const Tensor& weight, const Tensor& var, double epsilon) {
  std::vector<double> f(static_cast<std::size_t>(weight.numel()));
  for (std::int64_t o = 0; o < weight.numel(); ++o) f[static_cast<std::size_t>(o)] = weight.at(o) / std::sqrt(var.at(o) + epsilon);
  return f;
}

Tensor folded_weight(Graph& g, DType dtype, const Tensor& kernel, const Tensor& weight, const Tensor& var, double epsilon) {
  return g.derived().get(what("fold-weight", dtype, epsilon), {kernel, weight, var}, [&] {
    const auto f = factors(weight, var, epsilon);
    Tensor folded(kernel.shape(), dtype);
    const std::int64_t size = kernel.shape().inner().numel();
    dispatch(kernel.dtype(), [&](auto from) {
      dispatch(dtype, [&](auto to) {
        if constexpr (std::is_floating_point_v<decltype(to)> && !std::is_integral_v<decltype(from)>) {
          const auto* in = kernel.data<decltype(from)>();
          auto* out = folded.data<decltype(to)>();
          parallel_for(kernel.shape()[0], [&](std::int64_t o) {
            const double factor = f[static_cast<std::size_t>(o)];
            for (std::int64_t i = o * size; i < (o + 1) * size; ++i) out[i] = static_cast<decltype(to)>(static_cast<double>(in[i]) * factor);
          });
        }
      });
    });
    return folded;
  });
}

Tensor folded_bias(Graph& g, DType dtype, const Tensor* conv_bias, const Tensor& weight, const Tensor& bias, const Tensor& mean, const Tensor& var, double epsilon) {
  return g.derived().get(what("fold-bias", dtype, epsilon), {conv_bias ? *conv_bias : Tensor{}, weight, bias, mean, var}, [&] {
    const auto f = factors(weight, var, epsilon);
    Tensor wide(bias.shape(), DType::f64);
    for (std::int64_t o = 0; o < bias.numel(); ++o)
      wide.data<double>()[o] = ((conv_bias ? conv_bias->at(o) : 0.0) - mean.at(o)) * f[static_cast<std::size_t>(o)] + bias.at(o);
    return wide.to(dtype);
  });
}

bool all_constant(const Graph& g, const Node& n, int first) {
  for (auto i = static_cast<std::size_t>(first); i < n.inputs.size(); ++i)
    if (n.inputs[i] >= 0 && !g.is_constant(n.inputs[i])) return false;
  return true;
}

}  // namespace

std::unique_ptr<Graph> fold_batch_norm(const Graph& graph, std::vector<int>& outputs, DType dtype) {
  Rewrite rewrite(graph, outputs);
  const auto tensor = [&](const Node& n, int i) -> const Tensor& { return graph.constant_tensor(n.inputs[static_cast<std::size_t>(i)]); };
  const auto rewritten = rewrite.run([&](const Node& n) -> Value {
    Graph& g = rewrite.target();
    if (n.op == &ops::batch_norm) {
      const Node* conv = rewrite.sole_producer(n, 0, ops::conv2d);
      if (!conv || conv->has_input(3) || conv->as<Conv2dAttributes>().activation != Activation::none || !all_constant(graph, n, 1) || !all_constant(graph, *conv, 1)) return {};
      const double epsilon = n.as<BatchNormAttributes>().epsilon;
      const Value weight = g.constant(folded_weight(g, dtype, tensor(*conv, 1), tensor(n, 1), tensor(n, 4), epsilon));
      const Value bias = g.constant(folded_bias(g, dtype, conv->has_input(2) ? &tensor(*conv, 2) : nullptr, tensor(n, 1), tensor(n, 2), tensor(n, 3), tensor(n, 4), epsilon));
      return g.append(ops::conv2d, {rewrite.mapped_input(*conv, 0), weight, bias}, conv->attributes);
    }
    if (n.op == &ops::conv2d_backward_data) {
      const Node* norm = rewrite.sole_producer(n, 0, ops::batch_norm_backward);
      if (!norm || !all_constant(graph, n, 1) || !all_constant(graph, *norm, 1)) return {};
      const Value weight = g.constant(folded_weight(g, dtype, tensor(n, 1), tensor(*norm, 1), tensor(*norm, 2), norm->as<BatchNormAttributes>().epsilon));
      return g.append(ops::conv2d_backward_data, {rewrite.mapped_input(*norm, 0), weight}, n.attributes);
    }
    return {};
  });
  return eliminate_dead(*rewritten, outputs);  // what the rewrite left behind
}

}  // namespace limpid::passes
