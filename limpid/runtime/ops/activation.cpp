// ReLU and ReLU6. The backward op reads the output, or a mask of its active units, so that the input need not be kept, and may add a second
// gradient first.
#include <limpid/runtime/ops/common.h>

namespace limpid {
namespace ops {
namespace {

std::vector<ValueType> infer_forward(const Graph& g, const Node& n) { return {like(in(g, n, 0))}; }

template <class T>
void forward(const KernelCall& call) {
  const Activation kind = call.attributes<ActivationAttributes>().activation;
  const std::int64_t size = call.out_shape().numel();
  parallel_for(call.rows, [&](std::int64_t r) {
    for (std::int64_t i = r * size; i < (r + 1) * size; ++i) call.output<T>()[i] = activate(call.input<T>(0)[i], kind);
  });
}

Value gradient(Graph& g, const Node& n, Value dy, int) {
  return limpid::activation_backward(output_of(g, n), dy, n.as<ActivationAttributes>().activation, ReluRule::plain);
}

std::vector<ValueType> infer_mask(const Graph& g, const Node& n) {
  check_kind(g, n, 0, Kind::real);
  require(n.as<ActivationAttributes>().activation != Activation::none, "relu_mask: there is no activation.");
  return {{in(g, n, 0).shape, in(g, n, 0).rows, Kind::index}};
}

template <class T>
void mask_kernel(const KernelCall& call) {
  const Activation kind = call.attributes<ActivationAttributes>().activation;
  const std::int64_t size = call.out_shape().numel();
  parallel_for(call.rows, [&](std::int64_t r) {
    for (std::int64_t i = r * size; i < (r + 1) * size; ++i) call.output<std::int64_t>()[i] = is_active(call.input<T>(0)[i], kind);
  });
}

std::vector<ValueType> infer_backward(const Graph& g, const Node& n) {  // y or its mask, dy, and optionally another dy to add
  check_same(g, n, 0, 1);
  if (n.has_input(2)) check_same(g, n, 1, 2);
  return {like(in(g, n, 1))};
}

template <class T>
void backward(const KernelCall& call) {
  const auto& a = call.attributes<ActivationAttributes>();
  const std::int64_t size = call.out_shape().numel();
  const T* more = call.node.has_input(2) ? call.input<T>(2) : nullptr;
  const bool masked = in(call.graph, call.node, 0).kind == Kind::index;
  parallel_for(call.rows, [&](std::int64_t r) {
    for (std::int64_t i = r * size; i < (r + 1) * size; ++i) {
      const bool active = masked ? call.input<std::int64_t>(0)[i] != 0 : is_active(call.input<T>(0)[i], a.activation);
      call.output<T>()[i] = pass_back(active, call.input<T>(1)[i] + (more ? more[i] : T(0)), a.rule);
    }
  });
}

}  // namespace

const OpDef activation{"activation", infer_forward, gradient, LIMPID_KERNEL(forward)};
const OpDef relu_mask{"relu_mask", infer_mask, nullptr, LIMPID_KERNEL(mask_kernel)};
const OpDef activation_backward{"activation_backward", infer_backward, nullptr, LIMPID_KERNEL(backward)};

}  // namespace ops

Value relu(Value x) { return x.graph->append(ops::activation, {x}, ActivationAttributes{Activation::relu, ReluRule::plain}); }
Value relu6(Value x) { return x.graph->append(ops::activation, {x}, ActivationAttributes{Activation::relu6, ReluRule::plain}); }
Value relu_mask(Value y, Activation kind) { return y.graph->append(ops::relu_mask, {y}, ActivationAttributes{kind, ReluRule::plain}); }
Value activation_backward(Value y, Value dy, Activation kind, ReluRule rule) {
  return y.graph->append(ops::activation_backward, {y, dy}, ActivationAttributes{kind, rule});
}

}  // namespace limpid
