// The classifier: a matrix product, or one row of it where a single class is asked for; and softmax.
#include <limpid/runtime/ops/common.h>

#include <cmath>

namespace limpid {
namespace ops {
namespace {

std::vector<ValueType> infer_linear(const Graph& g, const Node& n) {
  const Shape &x = in_shape(g, n, 0, 1), &w = in_shape(g, n, 1, 2);
  require(w[1] == x[0], "linear: the weight ", w, " does not fit an input of shape ", x, ".");
  check_once(g, n, 1, w);
  if (n.has_input(2)) check_once(g, n, 2, Shape{w[0]});
  return {{Shape{w[0]}, in(g, n, 0).rows, Kind::real}};
}

template <class T>
void linear_kernel(const KernelCall& call) {
  const Shape& w = call.in_shape(1);
  const T* bias = call.node.has_input(2) ? call.input<T>(2) : nullptr;
  parallel_for(call.rows * w[0], [&](std::int64_t item) {
    const T *x = call.input<T>(0) + item / w[0] * w[1], *row = call.input<T>(1) + item % w[0] * w[1];
    T total = 0;
    for (std::int64_t i = 0; i < w[1]; ++i) total += x[i] * row[i];
    call.output<T>()[item] = total + (bias ? bias[item % w[0]] : T(0));
  });
}

Value linear_gradient(Graph& g, const Node& n, Value dy, int which) {
  if (which != 0) fail(ErrorCode::unsupported, "linear: weights are constants.");
  return g.append(linear_backward, {dy, input_of(g, n, 1)});
}

std::vector<ValueType> infer_linear_backward(const Graph& g, const Node& n) {
  const Shape &dy = in_shape(g, n, 0, 1), &w = in_shape(g, n, 1, 2);
  require(w[0] == dy[0], "linear_backward: the weight ", w, " does not fit a gradient of shape ", dy, ".");
  return {{Shape{w[1]}, in(g, n, 0).rows, Kind::real}};
}

template <class T>
void linear_backward_kernel(const KernelCall& call) {
  const Shape& w = call.in_shape(1);
  parallel_for(call.rows, [&](std::int64_t r) {
    T* dx = call.output<T>() + r * w[1];
    std::fill_n(dx, w[1], T(0));
    for (std::int64_t o = 0; o < w[0]; ++o) {
      const T dy = call.input<T>(0)[r * w[0] + o];
      if (dy != T(0)) for (std::int64_t i = 0; i < w[1]; ++i) dx[i] += dy * call.input<T>(1)[o * w[1] + i];
    }
  });
}

std::vector<ValueType> infer_linear_row(const Graph& g, const Node& n) {
  const ValueType whole = infer_linear(g, n)[0];
  check_kind(g, n, 3, Kind::index);
  require(in(g, n, 3).shape.rank() == 0, "linear_row: one index a row is needed, not ", in(g, n, 3).shape, ".");
  return {{Shape{}, whole.rows, Kind::real}};
}

template <class T>
void linear_row_kernel(const KernelCall& call) {
  const std::int64_t features = call.in_shape(1)[1];
  parallel_for(call.rows, [&](std::int64_t r) {
    const std::int64_t o = call.input<std::int64_t>(3)[call.row_of(3, r)];
    const T *x = call.input<T>(0) + r * features, *row = call.input<T>(1) + o * features;
    T total = 0;
    for (std::int64_t i = 0; i < features; ++i) total += x[i] * row[i];
    call.output<T>()[r] = total + (call.node.has_input(2) ? call.input<T>(2)[o] : T(0));
  });
}

Value linear_row_gradient(Graph& g, const Node& n, Value dy, int which) {
  if (which != 0) fail(ErrorCode::unsupported, "linear_row: weights are constants, and an index has no gradient.");
  return g.append(linear_row_backward, {dy, input_of(g, n, 1), input_of(g, n, 3)});
}

std::vector<ValueType> infer_linear_row_backward(const Graph& g, const Node& n) {
  const Shape& w = in_shape(g, n, 1, 2);
  check_once(g, n, 1, w);
  check_kind(g, n, 2, Kind::index);
  require(in(g, n, 0).shape.rank() == 0 && in(g, n, 2).shape.rank() == 0, "linear_row_backward: one gradient and one index a row are needed, not ", in(g, n, 0).shape, " and ", in(g, n, 2).shape, ".");
  return {{Shape{w[1]}, in(g, n, 0).rows, Kind::real}};
}

template <class T>
void linear_row_backward_kernel(const KernelCall& call) {
  const std::int64_t features = call.out_shape()[0];
  parallel_for(call.rows, [&](std::int64_t r) {
    const T dy = call.input<T>(0)[r], *row = call.input<T>(1) + call.input<std::int64_t>(2)[call.row_of(2, r)] * features;
    for (std::int64_t i = 0; i < features; ++i) call.output<T>()[r * features + i] = dy * row[i];
  });
}

std::vector<ValueType> infer_softmax(const Graph& g, const Node& n) { return {{in_shape(g, n, 0, 1), in(g, n, 0).rows, Kind::real}}; }

template <class T>
void softmax_kernel(const KernelCall& call) {
  const std::int64_t size = call.out_shape().numel();
  parallel_for(call.rows, [&](std::int64_t r) {
    const T* x = call.input<T>(0) + r * size;
    T* y = call.output<T>() + r * size;
    const T top = *std::max_element(x, x + size);
    double total = 0;
    for (std::int64_t i = 0; i < size; ++i) total += static_cast<double>(y[i] = std::exp(x[i] - top));
    for (std::int64_t i = 0; i < size; ++i) y[i] = static_cast<T>(static_cast<double>(y[i]) / total);
  });
}

std::vector<ValueType> infer_softmax_backward(const Graph& g, const Node& n) {
  check_same(g, n, 0, 1);
  return {like(in(g, n, 0))};
}

template <class T>
void softmax_backward_kernel(const KernelCall& call) {
  const std::int64_t size = call.out_shape().numel();
  parallel_for(call.rows, [&](std::int64_t r) {
    const T *y = call.input<T>(0) + r * size, *dy = call.input<T>(1) + r * size;
    double dot = 0;
    for (std::int64_t i = 0; i < size; ++i) dot += static_cast<double>(y[i] * dy[i]);
    for (std::int64_t i = 0; i < size; ++i) call.output<T>()[r * size + i] = y[i] * (dy[i] - static_cast<T>(dot));
  });
}

}  // namespace

const OpDef linear{"linear", infer_linear, linear_gradient, LIMPID_KERNEL(linear_kernel)};
const OpDef linear_backward{"linear_backward", infer_linear_backward, nullptr, LIMPID_KERNEL(linear_backward_kernel)};
const OpDef linear_row{"linear_row", infer_linear_row, linear_row_gradient, LIMPID_KERNEL(linear_row_kernel)};
const OpDef linear_row_backward{"linear_row_backward", infer_linear_row_backward, nullptr, LIMPID_KERNEL(linear_row_backward_kernel)};
const OpDef softmax{"softmax", infer_softmax, [](Graph& g, const Node& n, Value dy, int) { return g.append(softmax_backward, {output_of(g, n), dy}); }, LIMPID_KERNEL(softmax_kernel)};
const OpDef softmax_backward{"softmax_backward", infer_softmax_backward, nullptr, LIMPID_KERNEL(softmax_backward_kernel)};

}  // namespace ops

Value linear(Value x, Value weight, Value bias) { return x.graph->append(ops::linear, {x, weight, bias}); }
Value linear_row(Value x, Value weight, Value bias, Value index) { return x.graph->append(ops::linear_row, {x, weight, bias, index}); }
Value softmax(Value x) { return x.graph->append(ops::softmax, {x}); }

}  // namespace limpid
