// The sweep axis. Sources turn N rows into N*S without a copy on the host; reducers take them in chunks, in row order, so that
// the result does not depend on the cut; scatter ops spread the collected scores over the input.
#include <limpid/runtime/ops/common.h>

namespace limpid {
namespace ops {
namespace {

std::vector<ValueType> infer_path(const Graph& g, const Node& n) {
  check_same(g, n, 0, 1);
  check_kind(g, n, 2, Kind::coefficient);
  require(in(g, n, 0).rows == Rows::batch && in_shape(g, n, 2, 1)[0] > 0, "path_points: baseline and input must be batches, the nodes a list.");
  return {{in(g, n, 0).shape, Rows::sweep, Kind::real}};
}
std::int64_t path_sweep(const Graph& g, const Node& n) { return in(g, n, 2).shape[0]; }

template <class T>
void path_kernel(const KernelCall& call) {
  const std::int64_t size = call.out_shape().numel();
  parallel_for(call.rows, [&](std::int64_t r) {
    const T *b = call.input<T>(0) + call.row_of(0, r) * size, *x = call.input<T>(1) + call.row_of(1, r) * size;
    const auto alpha = static_cast<T>(call.input<double>(2)[(call.first_row + r) % call.sweep]);
    for (std::int64_t i = 0; i < size; ++i) call.output<T>()[r * size + i] = path_point(b[i], x[i], alpha);
  });
}

/// The shape of what a source writes: the whole picture or a region of it.
Shape region_shape(const Graph& g, const Node& n, const Shape& x, const Regions& region, std::int64_t sweep) {
  if (!region.defined()) return x;
  check_regions(n, region, sweep);
  require(x.rank() == 3 && inside(region, x[1], x[2]) && in(g, n, 0).rows == Rows::batch, n.op->name, ": a region of ", region.rows, "x", region.columns, " leaves the picture ", x, ".");
  return Shape{x[0], region.rows, region.columns};
}

std::vector<ValueType> infer_occlude(const Graph& g, const Node& n) {
  check_same(g, n, 0, 1);
  const Shape& x = in_shape(g, n, 0, 3);
  const auto& grid = n.as<WindowAttributes>().grid;
  const WindowAxis* axes[] = {&grid.channel, &grid.row, &grid.column};
  for (int i = 0; i < 3; ++i)
    require(axes[i]->extent == x[i] && axes[i]->size > 0 && axes[i]->stride > 0 && axes[i]->size <= x[i], "occlude_windows: a window of ", axes[i]->size, " with stride ", axes[i]->stride,
            " does not fit an extent of ", x[i], ".");
  return {{region_shape(g, n, x, n.as<WindowAttributes>().region, grid.count()), Rows::sweep, Kind::real}};
}
std::int64_t occlude_sweep(const Graph&, const Node& n) { return n.as<WindowAttributes>().grid.count(); }

/// The input, or the region of it, with baseline elements where `hides(row, point)(channel, y, x, element)`.
template <class T, class Hides>
void replace(const KernelCall& call, const Regions& region, Hides hides) {
  const Shape &s = call.out_shape(), &picture = call.in_shape(0);
  parallel_for(call.rows, [&](std::int64_t r) {
    const T *x = call.input<T>(0) + call.row_of(0, r) * picture.numel(), *b = call.input<T>(1) + call.row_of(1, r) * picture.numel();
    T* to = call.output<T>() + r * s.numel();
    const std::int64_t point = (call.first_row + r) % call.sweep;
    const auto hidden = hides(r, point);
    if (!region.defined() && s.rank() != 3) {
      for (std::int64_t i = 0; i < s.numel(); ++i) to[i] = hidden(0, 0, 0, i) ? b[i] : x[i];
      return;
    }
    const auto [top, left] = origin(region, point);
    for (std::int64_t c = 0; c < s[0]; ++c)
      for (std::int64_t y = top; y < top + s[1]; ++y)
        for (std::int64_t col = left; col < left + s[2]; ++col) {
          const std::int64_t i = (c * picture[1] + y) * picture[2] + col;
          *to++ = hidden(c, y, col, i) ? b[i] : x[i];
        }
  });
}

template <class T>
void occlude_kernel(const KernelCall& call) {
  const auto& a = call.attributes<WindowAttributes>();
  replace<T>(call, a.region, [&](std::int64_t, std::int64_t point) {
    return [&a, window = a.grid.at(point)](std::int64_t c, std::int64_t y, std::int64_t x, std::int64_t) { return a.grid.covers(window, c, y, x); };
  });
}

std::vector<ValueType> infer_ablate(const Graph& g, const Node& n) {
  check_same(g, n, 0, 1);
  check_kind(g, n, 2, Kind::index);
  require(in(g, n, 2).shape == in(g, n, 0).shape, "ablate_features: the feature mask ", in(g, n, 2).shape, " differs from the input ", in(g, n, 0).shape, ".");
  const auto& a = n.as<AblationAttributes>();
  require(a.count > 0, "ablate_features: there are no features.");
  require(!a.boxes || static_cast<std::int64_t>(a.boxes->size()) == a.count, "ablate_features: one box per feature is needed.");
  return {{region_shape(g, n, in(g, n, 0).shape, a.region, a.count), Rows::sweep, Kind::real}};
}
std::int64_t ablate_sweep(const Graph&, const Node& n) { return n.as<AblationAttributes>().count; }

template <class T>
void ablate_kernel(const KernelCall& call) {
  const std::int64_t size = call.in_shape(0).numel();
  replace<T>(call, call.attributes<AblationAttributes>().region, [&](std::int64_t r, std::int64_t point) {
    return [group = call.input<std::int64_t>(2) + call.row_of(2, r) * size, point](std::int64_t, std::int64_t, std::int64_t, std::int64_t i) { return group[i] == point; };
  });
}

void check_sweep(const Graph& g, const Node& n) { require(in(g, n, 0).rows == Rows::sweep, n.op->name, ": input 0 is not a sweep."); }

std::vector<ValueType> infer_weighted_sum(const Graph& g, const Node& n) {
  check_sweep(g, n);
  check_kind(g, n, 1, Kind::coefficient);
  require(in(g, n, 1).shape == Shape{g.sweep()}, "weighted_sum: ", in(g, n, 1).shape, " weights for a sweep over ", g.sweep(), " points.");
  return {{in(g, n, 0).shape, Rows::batch, Kind::real}};
}

template <class T>
void weighted_sum_kernel(const KernelCall& call) {
  const std::int64_t size = call.out_shape().numel(), block = 4096;
  parallel_for((size + block - 1) / block, [&](std::int64_t part) {  // blocks of elements: rows keep their order
    for (std::int64_t r = 0; r < call.rows; ++r) {
      const auto weight = static_cast<T>(call.input<double>(1)[(call.first_row + r) % call.sweep]);
      T* total = call.output<T>() + (call.first_row + r) / call.sweep * size;
      for (std::int64_t i = part * block; i < std::min(size, (part + 1) * block); ++i) total[i] += weight * call.input<T>(0)[r * size + i];
    }
  });
}

std::vector<ValueType> infer_collect(const Graph& g, const Node& n) {
  check_sweep(g, n);
  require(in(g, n, 0).shape.rank() == 0, "collect: one scalar a row is needed, not ", in(g, n, 0).shape, ".");
  return {{Shape{g.sweep()}, Rows::batch, Kind::real}};
}

template <class T>
void collect_kernel(const KernelCall& call) { std::copy_n(call.input<T>(0), call.rows, call.output<T>() + call.first_row); }

void check_scores(const Graph& g, const Node& n, std::int64_t count) {
  require(in(g, n, 0).shape.rank() == 0 && in(g, n, 1).shape == Shape{count} && in(g, n, 0).rows == in(g, n, 1).rows, n.op->name, ": one base score and ", count, " scores a sample are needed.");
}

std::vector<ValueType> infer_scatter_windows(const Graph& g, const Node& n) {
  const auto& grid = n.as<WindowAttributes>().grid;
  check_scores(g, n, grid.count());
  return {{Shape{grid.channel.extent, grid.row.extent, grid.column.extent}, in(g, n, 0).rows, Kind::real}};
}

template <class T>
void scatter_windows_kernel(const KernelCall& call) {
  const Shape& s = call.out_shape();
  const auto& grid = call.attributes<WindowAttributes>().grid;
  const std::int64_t windows = grid.count();
  for (std::int64_t r = 0; r < call.rows; ++r) {
    const auto base = static_cast<double>(call.input<T>(0)[r]);
    const T* scores = call.input<T>(1) + r * windows;
    T* to = call.output<T>() + r * s.numel();
    for (std::int64_t c = 0; c < s[0]; ++c)
      for (std::int64_t y = 0; y < s[1]; ++y)
        for (std::int64_t x = 0; x < s[2]; ++x) {
          double total = 0;
          std::int64_t covering = 0;
          for (auto wx = grid.column.first(x); wx < grid.column.last(x); ++wx)
            for (auto wy = grid.row.first(y); wy < grid.row.last(y); ++wy)
              for (auto wc = grid.channel.first(c); wc < grid.channel.last(c); ++wc, ++covering) total += base - static_cast<double>(scores[grid.index(wc, wy, wx)]);
          *to++ = covering ? static_cast<T>(total / static_cast<double>(covering)) : T(0);
        }
  }
}

std::vector<ValueType> infer_scatter_features(const Graph& g, const Node& n) {
  check_kind(g, n, 2, Kind::index);
  check_scores(g, n, g.sweep());
  return {{in(g, n, 2).shape, in(g, n, 0).rows, Kind::real}};
}

template <class T>
void scatter_features_kernel(const KernelCall& call) {
  const std::int64_t size = call.out_shape().numel(), count = call.in_shape(1)[0];
  for (std::int64_t r = 0; r < call.rows; ++r)
    for (std::int64_t i = 0; i < size; ++i)
      call.output<T>()[r * size + i] = call.input<T>(0)[r] - call.input<T>(1)[r * count + call.input<std::int64_t>(2)[call.row_of(2, r) * size + i]];
}

std::vector<ValueType> infer_channel_weighted(const Graph& g, const Node& n) {
  const Shape &w = in_shape(g, n, 0, 1), &x = in_shape(g, n, 1, 3);
  require(w[0] == x[0] && in(g, n, 0).rows == in(g, n, 1).rows, "channel_weighted_sum: ", w, " weights for an input of shape ", x, ".");
  return {{Shape{1, x[1], x[2]}, in(g, n, 1).rows, Kind::real}};
}

template <class T>
void channel_weighted_kernel(const KernelCall& call) {
  const Shape& x = call.in_shape(1);
  const std::int64_t plane = x[1] * x[2];
  for (std::int64_t r = 0; r < call.rows; ++r)
    for (std::int64_t i = 0; i < plane; ++i) {
      double total = 0;
      for (std::int64_t c = 0; c < x[0]; ++c) total += static_cast<double>(call.input<T>(0)[r * x[0] + c]) * static_cast<double>(call.input<T>(1)[(r * x[0] + c) * plane + i]);
      call.output<T>()[r * plane + i] = static_cast<T>(total);
    }
}

}  // namespace

const OpDef path_points{"path_points", infer_path, nullptr, LIMPID_KERNEL(path_kernel), false, path_sweep};
const OpDef occlude_windows{"occlude_windows", infer_occlude, nullptr, LIMPID_KERNEL(occlude_kernel), false, occlude_sweep};
const OpDef ablate_features{"ablate_features", infer_ablate, nullptr, LIMPID_KERNEL(ablate_kernel), false, ablate_sweep};
const OpDef weighted_sum{"weighted_sum", infer_weighted_sum, nullptr, LIMPID_KERNEL(weighted_sum_kernel), true};
const OpDef collect{"collect", infer_collect, nullptr, LIMPID_KERNEL(collect_kernel), true};
const OpDef scatter_windows{"scatter_windows", infer_scatter_windows, nullptr, LIMPID_KERNEL(scatter_windows_kernel)};
const OpDef scatter_features{"scatter_features", infer_scatter_features, nullptr, LIMPID_KERNEL(scatter_features_kernel)};
const OpDef channel_weighted_sum{"channel_weighted_sum", infer_channel_weighted, nullptr, LIMPID_KERNEL(channel_weighted_kernel)};

}  // namespace ops

Value path_points(Value baseline, Value input, Value nodes) { return input.graph->append(ops::path_points, {baseline, input, nodes}); }
Value occlude_windows(Value input, Value baseline, const WindowGrid& grid) { return input.graph->append(ops::occlude_windows, {input, baseline}, WindowAttributes{grid, {}}); }
Value ablate_features(Value input, Value baseline, Value groups, std::int64_t count, std::shared_ptr<const std::vector<Box>> boxes) {
  return input.graph->append(ops::ablate_features, {input, baseline, groups}, AblationAttributes{count, std::move(boxes), {}});
}
Value weighted_sum(Value x, Value weights) { return x.graph->append(ops::weighted_sum, {x, weights}); }
Value collect(Value x) { return x.graph->append(ops::collect, {x}); }
Value scatter_windows(Value base, Value scores, const WindowGrid& grid) { return base.graph->append(ops::scatter_windows, {base, scores}, WindowAttributes{grid, {}}); }
Value scatter_features(Value base, Value scores, Value groups) { return base.graph->append(ops::scatter_features, {base, scores, groups}); }
Value channel_weighted_sum(Value weights, Value x) { return x.graph->append(ops::channel_weighted_sum, {weights, x}); }

}  // namespace limpid
