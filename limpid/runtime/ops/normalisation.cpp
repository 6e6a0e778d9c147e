// Inference batch normalisation: one affine map a channel. The fold pass makes it part of the convolution before it.
#include <limpid/runtime/ops/common.h>

#include <cmath>

namespace limpid {
namespace ops {
namespace {

std::vector<ValueType> infer_forward(const Graph& g, const Node& n) {
  const Shape& x = in(g, n, 0).shape;
  require(x.rank() >= 1, "batch_norm: the input has no channel axis.");
  for (int i = 1; i < 5; ++i) check_once(g, n, i, Shape{x[0]});
  return {like(in(g, n, 0))};
}

template <class T>
void forward(const KernelCall& call) {
  const Shape& x = call.in_shape(0);
  const std::int64_t plane = x.inner().numel();
  const auto epsilon = static_cast<T>(call.attributes<BatchNormAttributes>().epsilon);
  parallel_for(call.rows * x[0], [&](std::int64_t item) {
    const std::int64_t c = item % x[0];
    const T factor = call.input<T>(1)[c] / std::sqrt(call.input<T>(4)[c] + epsilon), mean = call.input<T>(3)[c], bias = call.input<T>(2)[c];
    const T* from = call.input<T>(0) + item * plane;
    T* to = call.output<T>() + item * plane;
    for (std::int64_t i = 0; i < plane; ++i) to[i] = (from[i] - mean) * factor + bias;
  });
}

Value gradient(Graph& g, const Node& n, Value dy, int which) {
  if (which != 0) fail(ErrorCode::unsupported, "batch_norm: its parameters are constants.");
  return g.append(batch_norm_backward, {dy, input_of(g, n, 1), input_of(g, n, 4)}, n.attributes);
}

std::vector<ValueType> infer_backward(const Graph& g, const Node& n) {
  for (int i = 1; i < 3; ++i) check_once(g, n, i, Shape{in(g, n, 0).shape[0]});
  return {like(in(g, n, 0))};
}

template <class T>
void backward(const KernelCall& call) {
  const Shape& x = call.in_shape(0);
  const std::int64_t plane = x.inner().numel();
  const auto epsilon = static_cast<T>(call.attributes<BatchNormAttributes>().epsilon);
  parallel_for(call.rows * x[0], [&](std::int64_t item) {
    const T factor = call.input<T>(1)[item % x[0]] / std::sqrt(call.input<T>(2)[item % x[0]] + epsilon);
    const T* from = call.input<T>(0) + item * plane;
    T* to = call.output<T>() + item * plane;
    for (std::int64_t i = 0; i < plane; ++i) to[i] = from[i] * factor;
  });
}

Value gradient_of_backward(Graph& g, const Node& n, Value dy, int) { return g.append(batch_norm_backward, {dy, input_of(g, n, 1), input_of(g, n, 2)}, n.attributes); }

}  // namespace

const OpDef batch_norm{"batch_norm", infer_forward, gradient, LIMPID_KERNEL(forward)};
const OpDef batch_norm_backward{"batch_norm_backward", infer_backward, gradient_of_backward, LIMPID_KERNEL(backward)};

}  // namespace ops

Value batch_norm(Value x, Value weight, Value bias, Value mean, Value var, double epsilon) {
  return x.graph->append(ops::batch_norm, {x, weight, bias, mean, var}, BatchNormAttributes{epsilon});
}

}  // namespace limpid
