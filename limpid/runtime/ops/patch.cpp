// The gather of incremental occlusion: what a window of the next layer reads, put together from the few elements that a row of the sweep
// changes and the activations that the unchanged input gave.
#include <limpid/runtime/ops/common.h>

namespace limpid {
namespace ops {
namespace {

std::vector<ValueType> infer(const Graph& g, const Node& n) {
  const auto& a = n.as<PatchAttributes>();
  const Shape &crop = in_shape(g, n, 0, 3), &full = in_shape(g, n, 1, 3);
  require(in(g, n, 0).rows == Rows::sweep && in(g, n, 1).rows != Rows::sweep, "patch: the crop must be a sweep and the picture behind it none.");
  for (const Regions* r : {&a.from, &a.to}) check_regions(n, *r, g.sweep());
  require(crop == Shape({full[0], a.from.rows, a.from.columns}) && inside(a.from, full[1], full[2]), "patch: the crop ", crop, " does not fit into the picture ", full, ".");
  return {{Shape{full[0], a.to.rows, a.to.columns}, Rows::sweep, Kind::real}};
}

template <class T>
void kernel(const KernelCall& call) {
  const auto& a = call.attributes<PatchAttributes>();
  const Shape &crop = call.in_shape(0), &full = call.in_shape(1), &out = call.out_shape();
  parallel_for(call.rows, [&](std::int64_t r) {
    const T *changed = call.input<T>(0) + r * crop.numel(), *unchanged = call.input<T>(1) + call.row_of(1, r) * full.numel();
    T* to = call.output<T>() + r * out.numel();
    const std::int64_t point = (call.first_row + r) % call.sweep;
    const auto [crop_y, crop_x] = origin(a.from, point);
    const auto [top, left] = origin(a.to, point);
    for (std::int64_t c = 0; c < out[0]; ++c)
      for (std::int64_t y = top; y < top + out[1]; ++y)
        for (std::int64_t x = left; x < left + out[2]; ++x) {
          const PatchSource source = patch_source(y, x, full[1], full[2], crop_y, crop_x, crop[1], crop[2]);
          *to++ = source == PatchSource::outside ? static_cast<T>(a.outside)
                  : source == PatchSource::full  ? unchanged[(c * full[1] + y) * full[2] + x]
                                                 : changed[(c * crop[1] + y - crop_y) * crop[2] + x - crop_x];
        }
  });
}

}  // namespace

const OpDef patch{"patch", infer, nullptr, LIMPID_KERNEL(kernel)};

}  // namespace ops

Value patch(Value crop, Value full, const Regions& from, const Regions& to, double outside) { return crop.graph->append(ops::patch, {crop, full}, PatchAttributes{from, to, outside}); }

}  // namespace limpid
