// The hoisted start of integrated gradients in one step, and each way back to it in another (runtime/path_pool.h): nothing of the points' size is
// stored for a row. The way back stands where the pool's backward op would, with the sum of two gradients (a residual block) in front of it.
#include <limpid/cpu/lowering.h>
#include <limpid/cpu/path_pool.h>
#include <limpid/runtime/ops.h>

namespace limpid::cpu {
namespace {

kernels::PathPool shape_of(const Lowering& l, const Node& pool) {
  const auto& a = pool.as<PoolAttributes>();
  const Shape &in = l.graph().value(pool.inputs[0]).shape, &out = l.graph().value(pool.outputs[0]).shape;
  const std::int64_t width = l.channel_block(in[0]);
  const auto unit = l.graph().producer(pool.inputs[0]).as<ActivationAttributes>().activation;
  return {(in[0] + width - 1) / width, width, in[1], in[2], out[1], out[2], a.rows, a.columns, unit, l.graph().sweep(), l.options().batch, l.options().chunk};
}

}  // namespace

bool lower_path_pool(Lowering& l, const Node& points) {
  if (!l.options().fuse_backward) return false;
  const PathPool m = match_path_pool(l.graph(), l.outputs(), points);
  if (!m.found()) return false;
  const kernels::PathPool shape = shape_of(l, *m.pool);
  if (!kernels::PathPool::takes(shape.width)) return false;
  for (const auto& way : m.ways_back) {
    l.join(*way.pool, way);
    l.skip(*way.activation);
    l.skip(*way.sum);
  }
  for (const Node* done : {m.activation, m.pool, m.mask})
    if (done) l.skip(*done);
  const auto ends = [&](int id) { return l.use(id, {l.dims(id), memory::data_type::f32, l.working_tag(l.dims(id)[1])}); };
  const int y = m.pool->outputs[0], taps = m.pool->outputs[1];
  const Operand winners = m.ways_back.empty() ? Operand{} : l.define(taps, l.working(taps), static_cast<std::size_t>(shape.chunk * shape.out_size()));
  const bool narrow = l.real() == memory::data_type::bf16;
  l.add("path_points, activation, max_pool",
        [=](std::span<void* const> p, std::int64_t first_row, std::int64_t) {
          kernels::path_pool(shape, static_cast<const float*>(p[0]), static_cast<const float*>(p[1]), static_cast<const double*>(p[2]), first_row, p[3], static_cast<std::uint8_t*>(p[4]), narrow);
        },
        {ends(points.inputs[0]), ends(points.inputs[1]), l.at(points.inputs[2]), l.define(y, l.working(y)), winners});
  return true;
}

void lower_way_back(Lowering& l, const PathPool::WayBack& way, int dy, int more) {
  const int taps = way.pool->inputs[0], y = way.sum->outputs[0];
  const Node& pool = l.graph().producer(taps);
  const kernels::PathPool shape = shape_of(l, pool);
  const bool narrow = l.real() == memory::data_type::bf16;
  const memory::desc totals(l.dims(y), memory::data_type::f32, l.working_tag(l.dims(y)[1]));
  const Operand out = l.define(y, totals);
  l.accumulators.emplace_back(out.buffer, totals.get_size());
  l.add("max_pool_backward, activation_backward, weighted_sum",
        [=](std::span<void* const> p, std::int64_t first_row, std::int64_t rows) {
          kernels::path_pool_backward(shape, static_cast<const std::uint8_t*>(p[0]), p[1], p[2], narrow, static_cast<const double*>(p[3]), first_row, rows, static_cast<float*>(p[4]));
        },
        {l.at(taps), l.use(dy, l.working(dy)), more < 0 ? Operand{} : l.use(more, l.working(more)), l.at(way.sum->inputs[1]), out});
}

}  // namespace limpid::cpu
