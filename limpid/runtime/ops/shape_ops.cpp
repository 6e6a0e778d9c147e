// Ops that move, pick, repeat or total elements.
#include <limpid/runtime/ops/common.h>

namespace limpid {
namespace ops {
namespace {

template <class T>
void copy_kernel(const KernelCall& call) { std::copy_n(call.input<T>(0), call.rows * call.out_shape().numel(), call.output<T>()); }

std::vector<ValueType> infer_reshape(const Graph& g, const Node& n) {
  const Shape& s = n.as<ShapeAttributes>().shape;
  require(s.numel() == in(g, n, 0).shape.numel(), "reshape: ", in(g, n, 0).shape, " and ", s, " differ in the number of elements.");
  return {{s, in(g, n, 0).rows, in(g, n, 0).kind}};
}

std::vector<ValueType> infer_concat(const Graph& g, const Node& n) {
  Shape s = in(g, n, 0).shape;
  require(s.rank() > 0, "concat: scalars cannot be joined.");
  for (int i = 1; i < static_cast<int>(n.inputs.size()); ++i) {
    const auto& v = in(g, n, i);
    require(v.rows == in(g, n, 0).rows && v.shape.rank() == s.rank() && v.shape.inner() == s.inner(), "concat: ", v.shape, " does not fit behind ", s, ".");
    s[0] += v.shape[0];
  }
  return {{s, in(g, n, 0).rows, Kind::real}};
}

template <class T>
void concat_kernel(const KernelCall& call) {
  const std::int64_t size = call.out_shape().numel();
  for (std::int64_t r = 0; r < call.rows; ++r) {
    T* to = call.output<T>() + r * size;
    for (int i = 0; i < static_cast<int>(call.in.size()); ++i) to = std::copy_n(call.input<T>(i) + r * call.in_shape(i).numel(), call.in_shape(i).numel(), to);
  }
}

Value concat_gradient(Graph& g, const Node& n, Value dy, int which) {
  std::int64_t begin = 0;
  for (int i = 0; i < which; ++i) begin += in(g, n, i).shape[0];
  return limpid::slice(dy, begin, begin + in(g, n, which).shape[0]);
}

std::vector<ValueType> infer_slice(const Graph& g, const Node& n) {
  const auto& a = n.as<SliceAttributes>();
  Shape s = in(g, n, 0).shape;
  require(s.rank() > 0 && 0 <= a.begin && a.begin < a.end && a.end <= s[0], "slice: [", a.begin, ", ", a.end, ") is not within ", s, ".");
  s[0] = a.end - a.begin;
  return {{s, in(g, n, 0).rows, Kind::real}};
}

template <class T>
void slice_kernel(const KernelCall& call) {
  const std::int64_t from = call.in_shape(0).numel(), to = call.out_shape().numel(), begin = call.attributes<SliceAttributes>().begin * call.in_shape(0).inner().numel();
  for (std::int64_t r = 0; r < call.rows; ++r) std::copy_n(call.input<T>(0) + r * from + begin, to, call.output<T>() + r * to);
}

// slice_backward: begin is where the gradient goes, end the whole extent
Value slice_gradient(Graph& g, const Node& n, Value dy, int) {
  return g.append(slice_backward, {dy}, SliceAttributes{n.as<SliceAttributes>().begin, in(g, n, 0).shape[0]});
}
std::vector<ValueType> infer_slice_backward(const Graph& g, const Node& n) {
  Shape s = in(g, n, 0).shape;
  const auto& a = n.as<SliceAttributes>();
  require(s.rank() > 0 && a.begin >= 0 && a.begin + s[0] <= a.end, "slice_backward: ", s, " does not fit at ", a.begin, " of ", a.end, ".");
  s[0] = a.end;
  return {{s, in(g, n, 0).rows, Kind::real}};
}
template <class T>
void slice_backward_kernel(const KernelCall& call) {
  const std::int64_t from = call.in_shape(0).numel(), to = call.out_shape().numel(), begin = call.attributes<SliceAttributes>().begin * call.out_shape().inner().numel();
  std::fill_n(call.output<T>(), call.rows * to, T(0));
  for (std::int64_t r = 0; r < call.rows; ++r) std::copy_n(call.input<T>(0) + r * from, from, call.output<T>() + r * to + begin);
}

std::vector<ValueType> infer_broadcast(const Graph& g, const Node& n) {
  Shape s = in_shape(g, n, 0, 3);
  require(s[0] == 1, "broadcast_channels: the input ", s, " has more than one channel.");
  s[0] = n.as<FeatureAttributes>().count;
  return {{s, in(g, n, 0).rows, Kind::real}};
}
template <class T>
void broadcast_kernel(const KernelCall& call) {
  const std::int64_t plane = call.in_shape(0).numel(), channels = call.out_shape()[0];
  for (std::int64_t i = 0; i < call.rows * channels; ++i) std::copy_n(call.input<T>(0) + i / channels * plane, plane, call.output<T>() + i * plane);
}

std::vector<ValueType> infer_sum_channels(const Graph& g, const Node& n) {
  Shape s = in_shape(g, n, 0, 3);
  s[0] = 1;
  return {{s, in(g, n, 0).rows, Kind::real}};
}
template <class T>
void sum_channels_kernel(const KernelCall& call) {
  const std::int64_t plane = call.out_shape().numel(), channels = call.in_shape(0)[0];
  for (std::int64_t r = 0; r < call.rows; ++r)
    for (std::int64_t i = 0; i < plane; ++i) {
      double total = 0;
      for (std::int64_t c = 0; c < channels; ++c) total += static_cast<double>(call.input<T>(0)[(r * channels + c) * plane + i]);
      call.output<T>()[r * plane + i] = static_cast<T>(total);
    }
}

std::vector<ValueType> infer_select(const Graph& g, const Node& n) {
  check_kind(g, n, 1, Kind::index);
  require(in(g, n, 1).shape.rank() == 0, "select: one index a row is needed, not ", in(g, n, 1).shape, ".");
  return {{Shape{}, in(g, n, 0).rows, Kind::real}};
}
template <class T>
void select_kernel(const KernelCall& call) {
  const std::int64_t size = call.in_shape(0).numel();
  for (std::int64_t r = 0; r < call.rows; ++r) call.output<T>()[r] = call.input<T>(0)[r * size + call.input<std::int64_t>(1)[call.row_of(1, r)]];
}
Value select_gradient(Graph& g, const Node& n, Value dy, int which) {
  if (which != 0) fail(ErrorCode::unsupported, "select: an index has no gradient.");
  return g.append(select_backward, {dy, input_of(g, n, 1)}, ShapeAttributes{in(g, n, 0).shape});
}
std::vector<ValueType> infer_select_backward(const Graph& g, const Node& n) {
  check_kind(g, n, 1, Kind::index);
  return {{n.as<ShapeAttributes>().shape, in(g, n, 0).rows, Kind::real}};
}
template <class T>
void select_backward_kernel(const KernelCall& call) {
  const std::int64_t size = call.out_shape().numel();
  std::fill_n(call.output<T>(), call.rows * size, T(0));
  for (std::int64_t r = 0; r < call.rows; ++r) call.output<T>()[r * size + call.input<std::int64_t>(1)[call.row_of(1, r)]] = call.input<T>(0)[r];
}

std::vector<ValueType> infer_sum(const Graph& g, const Node& n) { return {{Shape{}, in(g, n, 0).rows, Kind::real}}; }
template <class T>
void sum_kernel(const KernelCall& call) {
  const std::int64_t size = call.in_shape(0).numel();
  for (std::int64_t r = 0; r < call.rows; ++r) {
    double total = 0;
    for (std::int64_t i = 0; i < size; ++i) total += static_cast<double>(call.input<T>(0)[r * size + i]);
    call.output<T>()[r] = static_cast<T>(total);
  }
}

std::vector<ValueType> infer_fill(const Graph& g, const Node& n) { return {like(in(g, n, 0))}; }
template <class T>
void fill_kernel(const KernelCall& call) {
  std::fill_n(call.output<T>(), call.rows * call.out_shape().numel(), static_cast<T>(call.attributes<ScalarAttributes>().value));
}

}  // namespace

const OpDef reshape{"reshape", infer_reshape, [](Graph& g, const Node& n, Value dy, int) { return limpid::reshape(dy, in(g, n, 0).shape); }, LIMPID_KERNEL(copy_kernel)};
const OpDef concat{"concat", infer_concat, concat_gradient, LIMPID_KERNEL(concat_kernel)};
const OpDef slice{"slice", infer_slice, slice_gradient, LIMPID_KERNEL(slice_kernel)};
const OpDef slice_backward{"slice_backward", infer_slice_backward, nullptr, LIMPID_KERNEL(slice_backward_kernel)};
const OpDef broadcast_channels{"broadcast_channels", infer_broadcast, [](Graph&, const Node&, Value dy, int) { return limpid::sum_channels(dy); }, LIMPID_KERNEL(broadcast_kernel)};
const OpDef sum_channels{"sum_channels", infer_sum_channels, [](Graph& g, const Node& n, Value dy, int) { return limpid::broadcast_channels(dy, in(g, n, 0).shape[0]); }, LIMPID_KERNEL(sum_channels_kernel)};
const OpDef select{"select", infer_select, select_gradient, LIMPID_KERNEL(select_kernel)};
const OpDef select_backward{"select_backward", infer_select_backward, nullptr, LIMPID_KERNEL(select_backward_kernel)};
const OpDef sum{"sum", infer_sum, nullptr, LIMPID_KERNEL(sum_kernel)};
const OpDef fill_like{"fill_like", infer_fill, nullptr, LIMPID_KERNEL(fill_kernel)};

}  // namespace ops

Value reshape(Value x, Shape shape) { return x.graph->append(ops::reshape, {x}, ShapeAttributes{std::move(shape)}); }
Value concat(std::span<const Value> parts) {
  require(!parts.empty(), "concat: no inputs.");
  return parts[0].graph->append(ops::concat, parts);
}
Value slice(Value x, std::int64_t begin, std::int64_t end) { return x.graph->append(ops::slice, {x}, SliceAttributes{begin, end}); }
Value broadcast_channels(Value x, std::int64_t channels) { return x.graph->append(ops::broadcast_channels, {x}, FeatureAttributes{channels}); }
Value sum_channels(Value x) { return x.graph->append(ops::sum_channels, {x}); }
Value select(Value x, Value index) { return x.graph->append(ops::select, {x, index}); }
Value sum(Value x) { return x.graph->append(ops::sum, {x}); }
Value fill_like(Value like, double value) { return like.graph->append(ops::fill_like, {like}, ScalarAttributes{value}); }

}  // namespace limpid
