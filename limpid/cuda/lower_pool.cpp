// Pooling of pictures.
#include <limpid/cuda/kernels/pool.h>
#include <limpid/cuda/lowering.h>
#include <limpid/runtime/ops.h>

namespace limpid::cuda {
namespace {

/// x and y: the values on the large and the small side.
kernels::PoolShape pool_shape(const Lowering& l, const Node& n, int x, int y) {
  const auto& a = n.as<PoolAttributes>();
  const Shape &in = l.shape(x), &out = l.shape(y);
  const kernels::PoolShape s{l.rows(x), padded(in[0]), in[1], in[2], out[1], out[2], a.rows, a.columns, a.count_include_pad};
  if (s.taps() > 254) unsupported(n, "a window of ", s.taps(), " points; 254 are possible.");
  return s;
}

}  // namespace

void lower_pool(Lowering& l, const Node& n) {
  const int x = n.inputs[0], y = n.outputs[0];
  const auto shape = pool_shape(l, n, x, y);
  const DType type = l.real();
  const Operand in = l.use(x, l.picture()), out = l.define(y, l.picture());
  if (n.op == &ops::avg_pool) {
    l.add("avg_pool", {in, out}, [=](Stream& stream, std::span<std::byte* const> p) { kernels::avg_pool(stream, p[0], p[1], type, shape); });
    return;
  }
  Operand taps;
  if (!l.readers(n.outputs[1]).empty()) taps = l.define_bytes(n.outputs[1], {Form::taps}, static_cast<std::size_t>(shape.tap_bytes()));
  l.add("max_pool", {in, out, taps}, [=](Stream& stream, std::span<std::byte* const> p) { kernels::max_pool(stream, p[0], p[1], p[2], type, shape); });
}

void lower_pool_backward(Lowering& l, const Node& n) {
  const bool max = n.op == &ops::max_pool_backward;
  const int dy = n.inputs[max ? 1 : 0], dx = n.outputs[0];
  const auto shape = pool_shape(l, n, dx, dy);
  const DType type = l.real();
  const Operand gradient = l.use(dy, l.picture()), taps = max ? l.at(n.inputs[0]) : Operand{}, out = l.define(dx, l.picture());
  if (max && taps.layout.form != Form::taps) unsupported(n, "the taps do not come from a max_pool.");
  l.add(n.op->name, {gradient, taps, out}, [=](Stream& stream, std::span<std::byte* const> p) {
    if (max) kernels::max_pool_backward(stream, p[1], p[0], p[2], type, shape);
    else kernels::avg_pool_backward(stream, p[0], p[2], type, shape);
  });
}

void lower_global_avg_pool(Lowering& l, const Node& n) {
  const int x = n.inputs[0];
  const Shape& s = l.shape(x);
  const Operand in = l.placed(x) && l.at(x).layout.form == Form::picture ? l.at(x) : l.use(x, l.picture(DType::f32));
  const std::int64_t rows = l.rows(x), channels = s[0], points = s[1] * s[2];
  l.add("global_avg_pool", {in, l.define(n.outputs[0], l.plain())},
        [=, type = in.layout.type](Stream& stream, std::span<std::byte* const> p) { kernels::global_avg_pool(stream, p[0], type, as<float>(p[1]), rows, channels, points); });
}

void lower_global_avg_pool_backward(Lowering& l, const Node& n) {
  const int dx = n.outputs[0];
  const Shape& s = l.shape(dx);
  const std::int64_t rows = l.rows(dx), channels = s[0], points = s[1] * s[2];
  const DType type = l.real();
  const Operand in = l.use(n.inputs[0], l.plain());
  l.add("global_avg_pool_backward", {in, l.define(dx, l.picture())},
        [=](Stream& stream, std::span<std::byte* const> p) { kernels::global_avg_pool_backward(stream, as<const float>(p[0]), p[1], type, rows, channels, points); });
}

}  // namespace limpid::cuda
