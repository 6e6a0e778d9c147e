// Sources write the network's input for each row of a chunk, in plain layout and the convolutions' type; weighted_sum adds rows into
// its sample's accumulator in row order, so that the cut into chunks does not show.
#include <limpid/cpu/kernels.h>
#include <limpid/cpu/lowering.h>
#include <limpid/runtime/ops.h>

#include <algorithm>

namespace limpid::cpu {

void lower_source(Lowering& l, const Node& n) {
  const Graph& g = l.graph();
  const int y = n.outputs[0];
  const bool paths = n.op == &ops::path_points, windows = n.op == &ops::occlude_windows;
  const int x = paths ? n.inputs[1] : n.inputs[0], baseline = paths ? n.inputs[0] : n.inputs[1];
  const bool narrow = l.real() == memory::data_type::bf16;
  std::vector<Operand> operands{l.use_plain(x), l.use_plain(baseline), l.define(y, l.plain(y, l.real()))};
  if (!windows) operands.push_back(l.use_plain(n.inputs[2]));  // path nodes, or feature groups
  const std::int64_t size = g.value(y).shape.numel(), sweep = g.sweep(), total = l.options().batch * sweep, chunk = l.options().chunk;
  const auto pitch = [&](int id) { return g.value(id).rows == Rows::batch ? size : 0; };  // from sample to sample
  const std::int64_t x_pitch = pitch(x), baseline_pitch = pitch(baseline), groups_pitch = windows ? 0 : pitch(n.inputs[2]);
  const WindowGrid grid = windows ? n.as<WindowAttributes>().grid : WindowGrid{};
  l.add(n.op->name,
        [=](std::span<void* const> p, std::int64_t first_row, std::int64_t) {
          for (std::int64_t r = 0; r < chunk; ++r) {
            const std::int64_t row = std::min(first_row + r, total - 1), sample = row / sweep, point = row % sweep;  // a short last pass repeats its last row
            const float *in = static_cast<const float*>(p[0]) + sample * x_pitch, *base = static_cast<const float*>(p[1]) + sample * baseline_pitch;
            void* out = static_cast<char*>(p[2]) + r * size * (narrow ? 2 : 4);
            if (paths) kernels::path_point(base, in, out, narrow, size, static_cast<float>(static_cast<const double*>(p[3])[point]));
            else if (windows) kernels::occlude(in, base, out, narrow, grid, point);
            else kernels::ablate(in, base, static_cast<const std::int64_t*>(p[3]) + sample * groups_pitch, out, narrow, size, point);
          }
        },
        std::move(operands));
}

void lower_weighted_sum(Lowering& l, const Node& n) {
  const int x = n.inputs[0], y = n.outputs[0];
  const bool narrow = type_of(l.at(x).desc) == memory::data_type::bf16;
  memory::desc totals = l.same_layout(l.at(x).desc, y, memory::data_type::f32);
  Operand in = l.at(x);
  if (!totals.get_size()) {
    in = l.use(x, l.plain(x, type_of(in.desc)));
    totals = l.plain(y);
  }
  const Operand out = l.define(y, totals);
  l.accumulators.emplace_back(out.buffer, totals.get_size());
  const auto row = static_cast<std::int64_t>(totals.get_size() / 4) / l.rows(y);
  const std::int64_t sweep = l.graph().sweep();
  l.add("weighted_sum",
        [=](std::span<void* const> p, std::int64_t first_row, std::int64_t rows) {
          for (std::int64_t r = 0; r < rows; ++r)
            kernels::accumulate(static_cast<float*>(p[2]) + (first_row + r) / sweep * row, static_cast<const char*>(p[0]) + r * row * (narrow ? 2 : 4), narrow, row,
                                static_cast<float>(static_cast<const double*>(p[1])[(first_row + r) % sweep]));
        },
        {in, l.at(n.inputs[1]), out});
}

}  // namespace limpid::cpu
