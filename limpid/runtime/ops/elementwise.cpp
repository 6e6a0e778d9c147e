// Sums, differences, products, multiples and absolute values of equal shapes.
#include <limpid/runtime/ops/common.h>

#include <cmath>

namespace limpid {
namespace ops {
namespace {

std::vector<ValueType> infer_binary(const Graph& g, const Node& n) {
  check_same(g, n, 0, 1);
  return {like(in(g, n, 0))};
}
std::vector<ValueType> infer_unary(const Graph& g, const Node& n) { return {like(in(g, n, 0))}; }

template <class T, class F>
void binary(const KernelCall& call, F f) {
  const std::int64_t size = call.out_shape().numel();
  parallel_for(call.rows, [&](std::int64_t r) {
    for (std::int64_t i = r * size; i < (r + 1) * size; ++i) call.output<T>()[i] = f(call.input<T>(0)[i], call.input<T>(1)[i]);
  });
}
template <class T> void add_kernel(const KernelCall& call) { binary<T>(call, [](T a, T b) { return a + b; }); }
template <class T> void sub_kernel(const KernelCall& call) { binary<T>(call, [](T a, T b) { return a - b; }); }
template <class T> void mul_kernel(const KernelCall& call) { binary<T>(call, [](T a, T b) { return a * b; }); }

template <class T, class F>
void unary(const KernelCall& call, F f) {
  const std::int64_t size = call.out_shape().numel();
  parallel_for(call.rows, [&](std::int64_t r) {
    for (std::int64_t i = r * size; i < (r + 1) * size; ++i) call.output<T>()[i] = f(call.input<T>(0)[i]);
  });
}
template <class T>
void scale_kernel(const KernelCall& call) {
  const auto factor = static_cast<T>(call.attributes<ScalarAttributes>().value);
  unary<T>(call, [=](T x) { return x * factor; });
}
template <class T> void abs_kernel(const KernelCall& call) { unary<T>(call, [](T x) { return std::abs(x); }); }

}  // namespace

const OpDef add{"add", infer_binary, [](Graph&, const Node&, Value dy, int) { return dy; }, LIMPID_KERNEL(add_kernel)};
const OpDef sub{"sub", infer_binary, [](Graph&, const Node&, Value dy, int which) { return which == 0 ? dy : limpid::scale(dy, -1); }, LIMPID_KERNEL(sub_kernel)};
const OpDef mul{"mul", infer_binary, [](Graph& g, const Node& n, Value dy, int which) { return limpid::mul(dy, input_of(g, n, 1 - which)); }, LIMPID_KERNEL(mul_kernel)};
const OpDef scale{"scale", infer_unary, [](Graph&, const Node& n, Value dy, int) { return limpid::scale(dy, n.as<ScalarAttributes>().value); }, LIMPID_KERNEL(scale_kernel)};
const OpDef abs{"abs", infer_unary, nullptr, LIMPID_KERNEL(abs_kernel)};

}  // namespace ops

Value add(Value a, Value b) { return a.graph->append(ops::add, {a, b}); }
Value sub(Value a, Value b) { return a.graph->append(ops::sub, {a, b}); }
Value mul(Value a, Value b) { return a.graph->append(ops::mul, {a, b}); }
Value scale(Value x, double factor) { return x.graph->append(ops::scale, {x}, ScalarAttributes{factor}); }
Value abs(Value x) { return x.graph->append(ops::abs, {x}); }

}  // namespace limpid
