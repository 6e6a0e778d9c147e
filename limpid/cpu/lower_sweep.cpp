// Sources write the network's input for each row of a chunk, in the convolutions' type (occluded ones in plain layout); weighted_sum adds rows into
// its sample's accumulator in row order, so that the cut into chunks does not show. Patches are copied line by line.
#include <limpid/cpu/kernels.h>
#include <limpid/cpu/lowering.h>
#include <limpid/runtime/ops.h>
#include <limpid/runtime/parallel.h>

#include <algorithm>

namespace limpid::cpu {
namespace {

/// The region of a point of the sweep; without regions, the whole picture.
kernels::Rectangle rectangle(const Regions& r, std::int64_t point, std::int64_t rows, std::int64_t columns) {
  if (!r.defined()) return {0, 0, rows, columns};
  const auto& [top, left] = (*r.origins)[static_cast<std::size_t>(point)];
  return {top, left, r.rows, r.columns};
}

}  // namespace

const Node* activation_behind(const Lowering& l, const Node& points) {
  const Node* reader = nullptr;
  for (const Node& n : l.graph().nodes())
    for (int in : n.inputs)
      if (in == points.outputs[0]) {
        if (reader || n.op != &ops::activation) return nullptr;
        reader = &n;
      }
  return reader;
}

/// In the working layout: behind a hoisted prefix the points are pictures of many channels. An activation that alone reads them is formed here.
void lower_path_points(Lowering& l, const Node& n) {
  if (lower_path_pool(l, n)) return;
  const Graph& g = l.graph();
  const int baseline = n.inputs[0], x = n.inputs[1], y = n.outputs[0];
  const Node* behind = activation_behind(l, n);
  const Activation kind = behind ? behind->as<ActivationAttributes>().activation : Activation::none;
  const bool picture = g.value(y).shape.rank() == 3, narrow = l.real() == memory::data_type::bf16;
  const memory::desc out = picture ? l.working(y) : l.plain(y, l.real());
  const auto ends = [&](int id) { return picture ? memory::desc(l.dims(id), memory::data_type::f32, l.working_tag(l.dims(id)[1])) : l.plain(id); };
  const std::int64_t sweep = g.sweep(), total = l.options().batch * sweep, chunk = l.options().chunk;
  const auto size = static_cast<std::int64_t>(out.get_size()) / (narrow ? 2 : 4) / chunk;
  l.add(behind ? "path_points with activation" : "path_points",
        [=](std::span<void* const> p, std::int64_t first_row, std::int64_t) {
          for (std::int64_t r = 0; r < chunk; ++r) {
            const std::int64_t row = std::min(first_row + r, total - 1), sample = row / sweep;  // a short last pass repeats its last row
            kernels::path_point(static_cast<const float*>(p[0]) + sample * size, static_cast<const float*>(p[1]) + sample * size, static_cast<char*>(p[3]) + r * size * (narrow ? 2 : 4), narrow,
                                size, static_cast<float>(static_cast<const double*>(p[2])[row % sweep]), kind);
          }
        },
        {l.use(baseline, ends(baseline)), l.use(x, ends(x)), l.at(n.inputs[2]), l.define(y, out)});
}

void lower_source(Lowering& l, const Node& n) {
  const Graph& g = l.graph();
  const int x = n.inputs[0], baseline = n.inputs[1], y = n.outputs[0];
  const bool windows = n.op == &ops::occlude_windows;
  const bool narrow = l.real() == memory::data_type::bf16;
  std::vector<Operand> operands{l.use_plain(x), l.use_plain(baseline), l.define(y, l.plain(y, l.real()))};
  if (!windows) operands.push_back(l.use_plain(n.inputs[2]));  // feature groups
  const Shape& picture = g.value(x).shape;
  const std::int64_t size = picture.numel(), sweep = g.sweep(), total = l.options().batch * sweep, chunk = l.options().chunk;
  const auto pitch = [&](int id) { return g.value(id).rows == Rows::batch ? size : 0; };  // from sample to sample
  const std::int64_t x_pitch = pitch(x), baseline_pitch = pitch(baseline), groups_pitch = windows ? 0 : pitch(n.inputs[2]);
  const WindowGrid grid = windows ? n.as<WindowAttributes>().grid : WindowGrid{};
  const Regions region = windows ? n.as<WindowAttributes>().region : n.as<AblationAttributes>().region;
  const bool vectors = picture.rank() != 3;
  const std::int64_t channels = vectors ? 1 : picture[0], height = vectors ? 1 : picture[1], width = vectors ? size : picture[2];
  const std::int64_t lines = region.defined() ? region.rows : height;
  l.add(n.op->name,
        [=](std::span<void* const> p, std::int64_t first_row, std::int64_t) {
          parallel_for(chunk * channels * lines, [&](std::int64_t line) {
            const std::int64_t row = std::min(first_row + line / lines / channels, total - 1), sample = row / sweep, point = row % sweep, channel = line / lines % channels;
            const kernels::Rectangle part = rectangle(region, point, height, width);
            const std::int64_t across = part.top + line % lines, plane = channel * height * width, from = plane + across * width + part.left;
            const float *in = static_cast<const float*>(p[0]) + sample * x_pitch, *base = static_cast<const float*>(p[1]) + sample * baseline_pitch;
            void* out = static_cast<char*>(p[2]) + line * part.columns * (narrow ? 2 : 4);
            if (windows) kernels::occlude_line(in + plane, base + plane, out, narrow, grid, grid.at(point), channel, across, part.left, part.columns);
            else kernels::ablate_line(in + from, base + from, static_cast<const std::int64_t*>(p[3]) + sample * groups_pitch + from, out, narrow, part.columns, point);
          });
        },
        std::move(operands));
}

void lower_patch(Lowering& l, const Node& n) {
  const Graph& g = l.graph();
  const auto& a = n.as<PatchAttributes>();
  const int crop = n.inputs[0], full = n.inputs[1], y = n.outputs[0];
  // All three in the working layout, by its tag: equality of descriptors does not tell layouts of one-pixel crops apart.
  const std::int64_t channels = g.value(crop).shape[0];
  const std::int64_t block = l.channel_block(channels);
  const std::int64_t blocks = (channels + block - 1) / block;
  const bool narrow = l.real() == memory::data_type::bf16;
  const std::int64_t bytes = block * (narrow ? 2 : 4), height = g.value(full).shape[1], width = g.value(full).shape[2];
  const std::int64_t sweep = g.sweep(), total = l.options().batch * sweep, lines = l.options().chunk * blocks * a.to.rows, samples = g.value(full).rows == Rows::batch ? 1 : 0;
  const Operand changed = l.use(crop, l.working(crop)), unchanged = l.use(full, l.working(full));
  l.add("patch",
        [=](std::span<void* const> p, std::int64_t first_row, std::int64_t) {
          parallel_for(lines, [&](std::int64_t line) {
            const std::int64_t i = line / a.to.rows, r = i / blocks, c = i % blocks, row = std::min(first_row + r, total - 1), point = row % sweep;
            kernels::Rectangle to = rectangle(a.to, point, 0, 0);
            to.top += line % a.to.rows;
            kernels::patch_line(static_cast<const char*>(p[0]) + i * a.from.rows * a.from.columns * bytes,
                                static_cast<const char*>(p[1]) + (row / sweep * samples * blocks + c) * height * width * bytes, static_cast<char*>(p[2]) + line * a.to.columns * bytes, narrow,
                                height, width, rectangle(a.from, point, 0, 0), to, block, channels - c * block, static_cast<float>(a.outside));
          });
        },
        {changed, unchanged, l.define(y, l.working(y))});
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
