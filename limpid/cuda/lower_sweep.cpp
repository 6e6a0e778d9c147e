// Sources and reducers. A hoisted path (path_points, activation, max pooling) becomes one step, and so does its way back: what lies between
// is never stored.
#include <limpid/cuda/kernels/sweep.h>
#include <limpid/cuda/lowering.h>
#include <limpid/runtime/ops.h>

#include <algorithm>

namespace limpid::cuda {
namespace {

using kernels::PathEnds;
using kernels::PoolShape;
using kernels::SweepRows;

SweepRows bound(SweepRows rows, std::byte* cursor) {
  rows.first_row = as<const std::int64_t>(cursor);
  return rows;
}

struct Ends {
  Operand baseline, input;
};

/// The two ends of a path as pictures, in the working type if they have it, else in f32; vectors plain.
Ends ends_of(Lowering& l, const Node& n) {
  const int baseline = n.inputs[0], input = n.inputs[1];
  const auto ready = [&](int id) { return l.placed(id) && l.at(id).layout == l.picture(); };
  const Layout layout = !l.is_picture(input) ? l.plain() : ready(baseline) && ready(input) ? l.picture() : l.picture(DType::f32);
  return {l.use(baseline, layout), l.use(input, layout)};
}

PoolShape pool_shape(const Lowering& l, const Node& pool) {
  const auto& a = pool.as<PoolAttributes>();
  const Shape &in = l.shape(pool.inputs[0]), &out = l.shape(pool.outputs[0]);
  return {l.options().chunk, padded(in[0]), in[1], in[2], out[1], out[2], a.rows, a.columns};
}

}  // namespace

void lower_path_points(Lowering& l, const Node& n) {
  const auto [baseline, input] = ends_of(l, n);
  const int y = n.outputs[0];
  const Operand nodes = l.at(n.inputs[2]);
  const DType ends_type = input.layout.type, type = l.real();
  if (const PathPool m = match_path_pool(l.graph(), l.outputs(), n); m.found()) {
    const PoolShape shape = pool_shape(l, *m.pool);
    const Operand pooled = l.define(m.pool->outputs[0], l.picture());
    const Operand taps = !m.ways_back.empty() ? l.define_bytes(m.pool->outputs[1], {Form::taps}, static_cast<std::size_t>(shape.tap_bytes())) : Operand{};
    const Activation activation = m.activation->as<ActivationAttributes>().activation;
    for (const Node* done : {m.activation, m.pool, m.mask})
      if (done) l.skip(*done);
    for (const auto& way : m.ways_back) {
      l.skip(*way.activation);
      l.skip(*way.pool);
      l.fuse_way_back(*way.sum, *m.pool);
    }
    l.add("path_points, activation, max_pool", {baseline, input, nodes, pooled, taps, l.cursor()}, [=, rows = l.sweep_rows()](Stream& stream, std::span<std::byte* const> p) {
      kernels::path_pool(stream, {p[0], p[1], ends_type}, as<const double>(p[2]), activation, p[3], p[4], type, shape, bound(rows, p[5]));
    });
    return;
  }
  const Layout layout = l.is_picture(y) ? l.picture() : l.plain();
  const std::int64_t count = l.row_elements(y, layout.form);
  l.add("path_points", {baseline, input, nodes, l.define(y, layout), l.cursor()}, [=, rows = l.sweep_rows(), out = layout.type](Stream& stream, std::span<std::byte* const> p) {
    kernels::path_points(stream, {p[0], p[1], ends_type}, as<const double>(p[2]), p[3], out, count, bound(rows, p[4]));
  });
}

namespace {

/// The origins of a region as an operand; absent where there is none.
Operand origins_of(Lowering& l, const Regions& r) {
  if (!r.defined()) return {};
  return l.table(Tensor::view(Shape{static_cast<std::int64_t>(r.origins->size()), 2}, DType::i32, r.origins->data(), r.origins));
}

kernels::RegionTable table(const Regions& r, std::int64_t height, std::int64_t width) { return {nullptr, r.defined() ? r.rows : height, r.defined() ? r.columns : width}; }

kernels::RegionTable bound(kernels::RegionTable t, std::byte* origins) {
  t.origins = as<const std::int32_t>(origins);
  return t;
}

}  // namespace

void lower_occlude_windows(Lowering& l, const Node& n) {
  const Operand input = l.use(n.inputs[0], l.picture(DType::f32)), baseline = l.use(n.inputs[1], l.picture(DType::f32));
  const auto& a = n.as<WindowAttributes>();
  const auto region = table(a.region, a.grid.row.extent, a.grid.column.extent);
  l.add("occlude_windows", {input, baseline, l.define(n.outputs[0], l.picture()), l.cursor(), origins_of(l, a.region)},
        [=, grid = a.grid, rows = l.sweep_rows(), type = l.real()](Stream& stream, std::span<std::byte* const> p) {
          kernels::occlude_windows(stream, as<const float>(p[0]), as<const float>(p[1]), p[2], type, grid, bound(region, p[4]), bound(rows, p[3]));
        });
}

void lower_ablate_features(Lowering& l, const Node& n) {
  const int x = n.inputs[0], y = n.outputs[0], groups = n.inputs[2];
  const auto& a = n.as<AblationAttributes>();
  const bool picture = l.is_picture(y);
  const Layout ends = picture ? l.picture(DType::f32) : l.plain(), layout = picture ? l.picture() : l.plain();
  const Shape& s = l.shape(x);
  const std::int64_t height = picture ? s[1] : 1, width = picture ? s[2] : 1;
  const kernels::Features features{nullptr, l.graph().value(groups).rows == Rows::batch ? s.numel() : 0, picture ? s[0] : s.numel(), height, width, table(a.region, height, width), picture};
  const Operand input = l.use(x, ends), baseline = l.use(n.inputs[1], ends), which = l.graph().is_constant(groups) ? l.constant(groups) : l.at(groups);
  l.add("ablate_features", {input, baseline, which, l.define(y, layout), l.cursor(), origins_of(l, a.region)}, [=, rows = l.sweep_rows(), type = layout.type](Stream& stream, std::span<std::byte* const> p) {
    kernels::Features f = features;
    f.groups = as<const std::int64_t>(p[2]);
    f.region = bound(f.region, p[5]);
    kernels::ablate_features(stream, as<const float>(p[0]), as<const float>(p[1]), f, p[3], type, bound(rows, p[4]));
  });
}

void lower_patch(Lowering& l, const Node& n) {
  const auto& a = n.as<PatchAttributes>();
  const int crop = n.inputs[0], full = n.inputs[1];
  const Shape& s = l.shape(full);
  const std::int64_t pitch = l.graph().value(full).rows == Rows::batch ? l.row_elements(full, Form::picture) : 0;
  const kernels::Patch shape{table(a.from, s[1], s[2]), table(a.to, s[1], s[2]), s[0], s[1], s[2], pitch, static_cast<float>(a.outside)};
  const Operand changed = l.use(crop, l.picture()), unchanged = l.use(full, l.picture());
  l.add("patch", {changed, unchanged, l.define(n.outputs[0], l.picture()), l.cursor(), origins_of(l, a.from), origins_of(l, a.to)},
        [=, rows = l.sweep_rows(), type = l.real()](Stream& stream, std::span<std::byte* const> p) {
          kernels::Patch bound_shape = shape;
          bound_shape.from = bound(shape.from, p[4]);
          bound_shape.to = bound(shape.to, p[5]);
          kernels::patch(stream, p[0], p[1], p[2], type, bound_shape, bound(rows, p[3]));
        });
}

void lower_weighted_sum(Lowering& l, const Node& n) {
  const int x = n.inputs[0], y = n.outputs[0];
  const Operand weights = l.at(n.inputs[1]);
  if (const Node* pool = l.fused_way_back(n)) {
    const Node& relu_back = l.graph().producer(x);
    const Node& pool_back = l.graph().producer(relu_back.inputs[1]);
    const PoolShape shape = pool_shape(l, *pool);
    for (int id : pool_back.inputs) l.keep(l.at(id));  // the graph reads them a step or two earlier only
    const Operand dy = l.use(pool_back.inputs[1], l.picture()), taps = l.at(pool_back.inputs[0]), sums = l.define(y, l.picture(DType::f32));
    l.accumulate(sums, y);
    l.add("max_pool_backward, activation_backward, weighted_sum", {taps, dy, weights, sums, l.cursor()}, [=, rows = l.sweep_rows(), type = l.real()](Stream& stream, std::span<std::byte* const> p) {
      kernels::path_pool_backward(stream, p[0], p[1], as<const double>(p[2]), as<float>(p[3]), type, shape, bound(rows, p[4]));
    });
    return;
  }
  const Operand in = l.at(x);
  const Operand sums = l.define(y, in.layout.form == Form::picture ? l.picture(DType::f32) : l.plain());
  l.accumulate(sums, y);
  const std::int64_t count = l.row_elements(x, in.layout.form);
  l.add("weighted_sum", {in, weights, sums, l.cursor()}, [=, rows = l.sweep_rows(), type = in.layout.type](Stream& stream, std::span<std::byte* const> p) {
    kernels::weighted_sum(stream, p[0], type, as<const double>(p[1]), as<float>(p[2]), count, bound(rows, p[3]));
  });
}

void lower_collect(Lowering& l, const Node& n) {
  const Operand in = l.use(n.inputs[0], l.plain()), scores = l.define(n.outputs[0], l.plain());
  l.accumulate(scores, n.outputs[0]);
  l.add("collect", {in, scores, l.cursor()}, [=, rows = l.sweep_rows()](Stream& stream, std::span<std::byte* const> p) { kernels::collect(stream, as<const float>(p[0]), as<float>(p[1]), bound(rows, p[2])); });
}

void lower_scatter(Lowering& l, const Node& n) {
  const int y = n.outputs[0];
  const bool windows = n.op == &ops::scatter_windows;
  const WindowGrid grid = windows ? n.as<WindowAttributes>().grid : WindowGrid{};
  const int groups = windows ? -1 : n.inputs[2];
  const std::int64_t samples = l.rows(y), size = l.shape(y).numel(), count = l.shape(n.inputs[1])[0], pitch = !windows && l.graph().value(groups).rows == Rows::batch ? size : 0;
  const Operand base = l.use(n.inputs[0], l.plain()), scores = l.use(n.inputs[1], l.plain());
  const Operand which = windows ? Operand{} : l.graph().is_constant(groups) ? l.constant(groups) : l.at(groups);
  l.add(n.op->name, {base, scores, which, l.define(y, l.plain())}, [=](Stream& stream, std::span<std::byte* const> p) {
    if (windows) kernels::scatter_windows(stream, as<const float>(p[0]), as<const float>(p[1]), as<float>(p[3]), samples, grid);
    else kernels::scatter_features(stream, as<const float>(p[0]), as<const float>(p[1]), as<const std::int64_t>(p[2]), pitch, as<float>(p[3]), samples, size, count);
  });
}

}  // namespace limpid::cuda
