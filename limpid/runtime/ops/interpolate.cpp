// Resampling of planes, nearest and bilinear (align_corners = false), as torch.nn.functional.interpolate; and the transpose.
#include <limpid/runtime/ops/common.h>

namespace limpid {
namespace ops {
namespace {

/// Calls f(output, input, weight) for every pair that the resampling connects within one plane.
template <class F>
void taps(const InterpolateAttributes& a, std::int64_t rows, std::int64_t columns, F f) {
  for (std::int64_t y = 0; y < a.rows; ++y)
    for (std::int64_t x = 0; x < a.columns; ++x) {
      const std::int64_t o = y * a.columns + x;
      if (a.mode == Interpolation::nearest) {
        f(o, nearest_tap(y, rows, a.rows) * columns + nearest_tap(x, columns, a.columns), 1.0);
        continue;
      }
      const LinearTap ty = linear_tap(y, rows, a.rows), tx = linear_tap(x, columns, a.columns);
      f(o, ty.low * columns + tx.low, (1 - ty.weight) * (1 - tx.weight));
      f(o, ty.low * columns + tx.high, (1 - ty.weight) * tx.weight);
      f(o, ty.high * columns + tx.low, ty.weight * (1 - tx.weight));
      f(o, ty.high * columns + tx.high, ty.weight * tx.weight);
    }
}

std::vector<ValueType> infer_forward(const Graph& g, const Node& n) {
  const auto& a = n.as<InterpolateAttributes>();
  const Shape& x = in_shape(g, n, 0, 3);
  require(a.rows > 0 && a.columns > 0, "interpolate: the size ", a.rows, "x", a.columns, " is empty.");
  return {{Shape{x[0], a.rows, a.columns}, in(g, n, 0).rows, Kind::real}};
}

template <class T>
void forward(const KernelCall& call) {
  const auto& a = call.attributes<InterpolateAttributes>();
  const Shape& x = call.in_shape(0);
  parallel_for(call.rows * x[0], [&](std::int64_t item) {
    const T* from = call.input<T>(0) + item * x[1] * x[2];
    T* to = call.output<T>() + item * a.rows * a.columns;
    std::fill_n(to, a.rows * a.columns, T(0));
    taps(a, x[1], x[2], [&](std::int64_t o, std::int64_t i, double w) { to[o] += from[i] * static_cast<T>(w); });
  });
}

Value gradient(Graph& g, const Node& n, Value dy, int) {
  const Shape& x = in(g, n, 0).shape;
  return g.append(interpolate_backward, {dy}, InterpolateAttributes{x[1], x[2], n.as<InterpolateAttributes>().mode});
}

std::vector<ValueType> infer_backward(const Graph& g, const Node& n) {
  const auto& a = n.as<InterpolateAttributes>();  // the extents of the forward op's input
  return {{Shape{in_shape(g, n, 0, 3)[0], a.rows, a.columns}, in(g, n, 0).rows, Kind::real}};
}

template <class T>
void backward(const KernelCall& call) {
  const auto& a = call.attributes<InterpolateAttributes>();
  const Shape& dy = call.in_shape(0);
  parallel_for(call.rows * dy[0], [&](std::int64_t item) {
    const T* from = call.input<T>(0) + item * dy[1] * dy[2];
    T* to = call.output<T>() + item * a.rows * a.columns;
    std::fill_n(to, a.rows * a.columns, T(0));
    taps({dy[1], dy[2], a.mode}, a.rows, a.columns, [&](std::int64_t o, std::int64_t i, double w) { to[i] += from[o] * static_cast<T>(w); });
  });
}

}  // namespace

const OpDef interpolate{"interpolate", infer_forward, gradient, LIMPID_KERNEL(forward)};
const OpDef interpolate_backward{"interpolate_backward", infer_backward, nullptr, LIMPID_KERNEL(backward)};

}  // namespace ops

Value interpolate(Value x, std::int64_t rows, std::int64_t columns, Interpolation mode) {
  return x.graph->append(ops::interpolate, {x}, InterpolateAttributes{rows, columns, mode});
}

}  // namespace limpid
