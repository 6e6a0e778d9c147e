// Max, average and global average pooling. Max pooling also gives, for each output, which tap of the window won (the first of
// equals): the backward op needs nothing else.
#include <limpid/runtime/ops/common.h>

#include <limits>

namespace limpid {
namespace ops {
namespace {

PoolAttributes with_input_extents(const Graph& g, const Node& n) {
  auto a = n.as<PoolAttributes>();
  const Shape& x = in(g, n, 0).shape;
  a.in_rows = x[1];
  a.in_columns = x[2];
  return a;
}

Shape pooled(const Graph& g, const Node& n) {
  const auto& a = n.as<PoolAttributes>();
  const Shape& x = in_shape(g, n, 0, 3);
  for (const Axis* axis : {&a.rows, &a.columns})
    require(axis->kernel > 0 && axis->stride > 0 && axis->begin >= 0 && axis->begin < axis->kernel, n.op->name, ": kernel and stride must be positive and the padding smaller than the kernel.");
  const Shape out{x[0], a.rows.out(x[1]), a.columns.out(x[2])};
  require(out[1] > 0 && out[2] > 0, n.op->name, ": a ", a.rows.kernel, "x", a.columns.kernel, " window does not fit an input of shape ", x, ".");
  return out;
}

std::vector<ValueType> infer_max(const Graph& g, const Node& n) {
  const Shape out = pooled(g, n);
  return {{out, in(g, n, 0).rows, Kind::real}, {out, in(g, n, 0).rows, Kind::index}};
}
std::vector<ValueType> infer_avg(const Graph& g, const Node& n) { return {{pooled(g, n), in(g, n, 0).rows, Kind::real}}; }

template <class T>
void max_forward(const KernelCall& call) {
  const auto& a = call.attributes<PoolAttributes>();
  const Shape &x = call.in_shape(0), &y = call.out_shape();
  parallel_for(call.rows * x[0], [&](std::int64_t item) {
    const T* from = call.input<T>(0) + item * x[1] * x[2];
    for (std::int64_t oy = 0; oy < y[1]; ++oy)
      for (std::int64_t ox = 0; ox < y[2]; ++ox) {
        T best = -std::numeric_limits<T>::infinity();
        std::int64_t tap = -1;
        for (std::int64_t ky = 0; ky < a.rows.kernel; ++ky)
          for (std::int64_t kx = 0; kx < a.columns.kernel; ++kx) {
            const std::int64_t iy = a.rows.in(oy, ky), ix = a.columns.in(ox, kx);
            if (iy < 0 || iy >= x[1] || ix < 0 || ix >= x[2]) continue;
            const T v = from[iy * x[2] + ix];
            if (tap < 0 || v > best || v != v) best = v, tap = ky * a.columns.kernel + kx;
          }
        const std::int64_t o = (item * y[1] + oy) * y[2] + ox;
        call.output<T>(0)[o] = best;
        call.output<std::int64_t>(1)[o] = tap;
      }
  });
}

Value max_gradient(Graph& g, const Node& n, Value dy, int) { return g.append(max_pool_backward, {output_of(g, n, 1), dy}, with_input_extents(g, n)); }

std::vector<ValueType> infer_backward(const Graph& g, const Node& n, int dy) {
  const auto& a = n.as<PoolAttributes>();
  const Shape& s = in_shape(g, n, dy, 3);
  require(a.rows.out(a.in_rows) == s[1] && a.columns.out(a.in_columns) == s[2], n.op->name, ": the gradient ", s, " does not fit the window.");
  return {{Shape{s[0], a.in_rows, a.in_columns}, in(g, n, dy).rows, Kind::real}};
}
std::vector<ValueType> infer_max_backward(const Graph& g, const Node& n) {
  check_same(g, n, 0, 1);
  return infer_backward(g, n, 1);
}
std::vector<ValueType> infer_avg_backward(const Graph& g, const Node& n) { return infer_backward(g, n, 0); }

template <class T>
void max_backward(const KernelCall& call) {
  const auto& a = call.attributes<PoolAttributes>();
  const Shape &dy = call.in_shape(1), &dx = call.out_shape();
  parallel_for(call.rows * dx[0], [&](std::int64_t item) {
    T* to = call.output<T>() + item * dx[1] * dx[2];
    std::fill_n(to, dx[1] * dx[2], T(0));
    for (std::int64_t oy = 0; oy < dy[1]; ++oy)
      for (std::int64_t ox = 0; ox < dy[2]; ++ox) {
        const std::int64_t o = (item * dy[1] + oy) * dy[2] + ox, tap = call.input<std::int64_t>(0)[o];
        to[a.rows.in(oy, tap / a.columns.kernel) * dx[2] + a.columns.in(ox, tap % a.columns.kernel)] += call.input<T>(1)[o];
      }
  });
}

/// Calls f(output, input, weight) for every pair that average pooling connects within one plane.
template <class F>
void average_taps(const PoolAttributes& a, std::int64_t rows, std::int64_t columns, F f) {
  const std::int64_t out_rows = a.rows.out(rows), out_columns = a.columns.out(columns);
  for (std::int64_t oy = 0; oy < out_rows; ++oy)
    for (std::int64_t ox = 0; ox < out_columns; ++ox) {
      const std::int64_t y0 = std::max<std::int64_t>(a.rows.in(oy, 0), 0), y1 = std::min(a.rows.in(oy, a.rows.kernel), rows);
      const std::int64_t x0 = std::max<std::int64_t>(a.columns.in(ox, 0), 0), x1 = std::min(a.columns.in(ox, a.columns.kernel), columns);
      const std::int64_t count = a.count_include_pad ? a.rows.kernel * a.columns.kernel : (y1 - y0) * (x1 - x0);
      for (std::int64_t y = y0; y < y1; ++y)
        for (std::int64_t x = x0; x < x1; ++x) f(oy * out_columns + ox, y * columns + x, 1.0 / static_cast<double>(count));
    }
}

template <class T>
void avg_forward(const KernelCall& call) {
  const auto& a = call.attributes<PoolAttributes>();
  const Shape &x = call.in_shape(0), &y = call.out_shape();
  parallel_for(call.rows * x[0], [&](std::int64_t item) {
    const T* from = call.input<T>(0) + item * x[1] * x[2];
    T* to = call.output<T>() + item * y[1] * y[2];
    std::fill_n(to, y[1] * y[2], T(0));
    average_taps(a, x[1], x[2], [&](std::int64_t o, std::int64_t i, double w) { to[o] += from[i] * static_cast<T>(w); });
  });
}

template <class T>
void avg_backward(const KernelCall& call) {
  const auto& a = call.attributes<PoolAttributes>();
  const Shape &dy = call.in_shape(0), &dx = call.out_shape();
  parallel_for(call.rows * dx[0], [&](std::int64_t item) {
    const T* from = call.input<T>(0) + item * dy[1] * dy[2];
    T* to = call.output<T>() + item * dx[1] * dx[2];
    std::fill_n(to, dx[1] * dx[2], T(0));
    average_taps(a, dx[1], dx[2], [&](std::int64_t o, std::int64_t i, double w) { to[i] += from[o] * static_cast<T>(w); });
  });
}

Value avg_gradient(Graph& g, const Node& n, Value dy, int) { return g.append(avg_pool_backward, {dy}, with_input_extents(g, n)); }

std::vector<ValueType> infer_global(const Graph& g, const Node& n) { return {{Shape{in_shape(g, n, 0, 3)[0]}, in(g, n, 0).rows, Kind::real}}; }

template <class T>
void global_forward(const KernelCall& call) {
  const Shape& x = call.in_shape(0);
  const std::int64_t plane = x[1] * x[2];
  parallel_for(call.rows * x[0], [&](std::int64_t item) {
    double total = 0;
    for (std::int64_t i = 0; i < plane; ++i) total += static_cast<double>(call.input<T>(0)[item * plane + i]);
    call.output<T>()[item] = static_cast<T>(total / static_cast<double>(plane));
  });
}

Value global_gradient(Graph& g, const Node& n, Value dy, int) { return g.append(global_avg_pool_backward, {dy}, ShapeAttributes{in(g, n, 0).shape}); }

std::vector<ValueType> infer_global_backward(const Graph& g, const Node& n) {
  const Shape& s = n.as<ShapeAttributes>().shape;
  require(in_shape(g, n, 0, 1)[0] == s[0], n.op->name, ": the gradient ", in(g, n, 0).shape, " does not fit ", s, ".");
  return {{s, in(g, n, 0).rows, Kind::real}};
}

template <class T>
void global_backward(const KernelCall& call) {
  const Shape& x = call.out_shape();
  const std::int64_t plane = x[1] * x[2];
  parallel_for(call.rows * x[0], [&](std::int64_t item) { std::fill_n(call.output<T>() + item * plane, plane, call.input<T>(0)[item] / static_cast<T>(plane)); });
}

}  // namespace

const OpDef max_pool{"max_pool", infer_max, max_gradient, LIMPID_KERNEL(max_forward)};
const OpDef max_pool_backward{"max_pool_backward", infer_max_backward, nullptr, LIMPID_KERNEL(max_backward)};
const OpDef avg_pool{"avg_pool", infer_avg, avg_gradient, LIMPID_KERNEL(avg_forward)};
const OpDef avg_pool_backward{"avg_pool_backward", infer_avg_backward, nullptr, LIMPID_KERNEL(avg_backward)};
const OpDef global_avg_pool{"global_avg_pool", infer_global, global_gradient, LIMPID_KERNEL(global_forward)};
const OpDef global_avg_pool_backward{"global_avg_pool_backward", infer_global_backward, nullptr, LIMPID_KERNEL(global_backward)};

}  // namespace ops

namespace {
PoolAttributes attributes(const PoolOptions& o) {
  PoolAttributes a;
  a.rows = {o.kernel[0], o.stride[0], o.padding[0], o.padding[0], 1};
  a.columns = {o.kernel[1], o.stride[1], o.padding[1], o.padding[1], 1};
  a.count_include_pad = o.count_include_pad;
  return a;
}
}  // namespace

Value max_pool(Value x, const PoolOptions& options) { return x.graph->append(ops::max_pool, {x}, attributes(options)); }
Value avg_pool(Value x, const PoolOptions& options) { return x.graph->append(ops::avg_pool, {x}, attributes(options)); }
Value global_avg_pool(Value x) { return x.graph->append(ops::global_avg_pool, {x}); }

}  // namespace limpid
