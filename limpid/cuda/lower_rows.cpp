// The classifier and the ops that move, pick, repeat or total elements: plain f32 rows.
#include <limpid/cuda/kernels/elementwise.h>
#include <limpid/cuda/kernels/rows.h>
#include <limpid/cuda/lowering.h>
#include <limpid/runtime/ops.h>

namespace limpid::cuda {

void lower_linear(Lowering& l, const Node& n) {
  const int x = n.inputs[0], y = n.outputs[0];
  const Shape& w = l.shape(n.inputs[1]);
  const Product product{l.rows(x), w[0], w[1], true, l.tf32()};
  const Operand in = l.use(x, l.plain()), weight = l.use(n.inputs[1], l.plain()), bias = n.has_input(2) ? l.use(n.inputs[2], l.plain()) : Operand{};
  l.add("linear", {in, weight, bias, l.define(y, l.plain())}, [=](Stream& stream, std::span<std::byte* const> p) {
    multiply(stream, product, as<const float>(p[0]), as<const float>(p[1]), as<float>(p[3]));
    if (p[2]) kernels::add_bias(stream, as<float>(p[3]), as<const float>(p[2]), product.m, product.n);
  });
}

void lower_linear_backward(Lowering& l, const Node& n) {
  const int dy = n.inputs[0], dx = n.outputs[0];
  const Shape& w = l.shape(n.inputs[1]);
  const Product product{l.rows(dy), w[1], w[0], false, l.tf32()};
  const Operand in = l.use(dy, l.plain()), weight = l.use(n.inputs[1], l.plain());
  l.add("linear_backward", {in, weight, l.define(dx, l.plain())},
        [=](Stream& stream, std::span<std::byte* const> p) { multiply(stream, product, as<const float>(p[0]), as<const float>(p[1]), as<float>(p[2])); });
}

/// One row of the matrix a row of the value: f32 in every precision, bound by the loads.
void lower_linear_row(Lowering& l, const Node& n) {
  const bool backward = n.op == &ops::linear_row_backward;
  const int x = n.inputs[0], y = n.outputs[0], index = n.inputs[backward ? 2 : 3];
  const bool swept = l.in_sweep(x) && !l.in_sweep(index);
  const std::int64_t rows = l.rows(y), features = l.shape(n.inputs[1])[1], pitch = l.graph().value(index).rows == Rows::one ? 0 : 1;
  const Operand in = l.use(x, l.plain()), weight = l.use(n.inputs[1], l.plain()), bias = !backward && n.has_input(2) ? l.use(n.inputs[2], l.plain()) : Operand{};
  const Operand which = l.graph().is_constant(index) ? l.constant(index) : l.at(index);
  l.add(n.op->name, {in, weight, bias, which, l.define(y, l.plain()), swept ? l.cursor() : Operand{}}, [=, sweep = l.sweep_rows()](Stream& stream, std::span<std::byte* const> p) mutable {
    sweep.first_row = as<const std::int64_t>(p[5]);
    const kernels::LinearRow w{as<const float>(p[1]), as<const float>(p[2]), as<const std::int64_t>(p[3]), pitch, features};
    (backward ? kernels::linear_row_backward : kernels::linear_row)(stream, as<const float>(p[0]), w, as<float>(p[4]), rows, swept ? &sweep : nullptr);
  });
}

void lower_softmax(Lowering& l, const Node& n) {
  const bool backward = n.op == &ops::softmax_backward;
  const int x = n.inputs[0];
  const std::int64_t rows = l.rows(x), size = l.shape(x)[0];
  const Operand in = l.use(x, l.plain()), dy = backward ? l.use(n.inputs[1], l.plain()) : Operand{};
  l.add(n.op->name, {in, dy, l.define(n.outputs[0], l.plain())}, [=](Stream& stream, std::span<std::byte* const> p) {
    if (backward) kernels::softmax_backward(stream, as<const float>(p[0]), as<const float>(p[1]), as<float>(p[2]), rows, size);
    else kernels::softmax(stream, as<const float>(p[0]), as<float>(p[2]), rows, size);
  });
}

void lower_reshape(Lowering& l, const Node& n) {
  const int x = n.inputs[0], y = n.outputs[0];
  if (l.graph().value(x).kind != Kind::real) unsupported(n, "integers cannot be reshaped.");
  const Operand in = l.use(x, l.plain());
  if (in.buffer >= 0 && in.buffer == l.at(x).buffer && l.take_over(y, x)) return;
  const std::int64_t size = l.shape(y).numel(), rows = l.rows(y);
  l.add("reshape", {in, l.define(y, l.plain())}, [=](Stream& stream, std::span<std::byte* const> p) { kernels::copy_rows(stream, as<const float>(p[0]), size, as<float>(p[1]), size, size, rows); });
}

void lower_concat(Lowering& l, const Node& n) {
  const int y = n.outputs[0];
  const std::int64_t rows = l.rows(y), pitch = l.shape(y).numel();
  std::vector<Operand> operands;
  std::vector<std::int64_t> sizes;
  for (int id : n.inputs) {
    operands.push_back(l.use(id, l.plain()));
    sizes.push_back(l.shape(id).numel());
  }
  operands.push_back(l.define(y, l.plain()));
  l.add("concat", std::move(operands), [=](Stream& stream, std::span<std::byte* const> p) {
    float* to = as<float>(p[sizes.size()]);
    for (std::size_t i = 0; i < sizes.size(); to += sizes[i++]) kernels::copy_rows(stream, as<const float>(p[i]), sizes[i], to, pitch, sizes[i], rows);
  });
}

void lower_slice(Lowering& l, const Node& n) {
  const bool backward = n.op == &ops::slice_backward;
  const int x = n.inputs[0], y = n.outputs[0];
  const std::int64_t rows = l.rows(y), from = l.shape(x).numel(), to = l.shape(y).numel(), begin = n.as<SliceAttributes>().begin * l.shape(x).inner().numel();
  const Operand in = l.use(x, l.plain());
  l.add(n.op->name, {in, l.define(y, l.plain())}, [=](Stream& stream, std::span<std::byte* const> p) {
    if (backward) {
      stream.zero(p[1], static_cast<std::size_t>(rows * to) * sizeof(float));
      kernels::copy_rows(stream, as<const float>(p[0]), from, as<float>(p[1]) + begin, to, from, rows);
    } else {
      kernels::copy_rows(stream, as<const float>(p[0]) + begin, from, as<float>(p[1]), to, to, rows);
    }
  });
}

void lower_channels(Lowering& l, const Node& n) {
  const bool sums = n.op == &ops::sum_channels;
  const int x = n.inputs[0], y = n.outputs[0];
  const Shape& wide = l.shape(sums ? x : y);
  const std::int64_t rows = l.rows(y), channels = wide[0], points = wide.inner().numel();
  const Operand in = l.use(x, l.plain());
  l.add(n.op->name, {in, l.define(y, l.plain())}, [=](Stream& stream, std::span<std::byte* const> p) {
    (sums ? kernels::sum_channels : kernels::broadcast_channels)(stream, as<const float>(p[0]), as<float>(p[1]), rows, channels, points);
  });
}

void lower_select(Lowering& l, const Node& n) {
  const bool backward = n.op == &ops::select_backward;
  const int x = n.inputs[0], y = n.outputs[0], index = n.inputs[1];
  const bool swept = l.in_sweep(x) && !l.in_sweep(index);
  const std::int64_t rows = l.rows(y), size = l.shape(backward ? y : x).numel(), pitch = l.graph().value(index).rows == Rows::one ? 0 : 1;
  const Operand in = l.use(x, l.plain()), which = l.graph().is_constant(index) ? l.constant(index) : l.at(index);
  l.add(n.op->name, {in, which, l.define(y, l.plain()), swept ? l.cursor() : Operand{}}, [=, sweep = l.sweep_rows()](Stream& stream, std::span<std::byte* const> p) mutable {
    sweep.first_row = as<const std::int64_t>(p[3]);
    (backward ? kernels::select_backward : kernels::select)(stream, as<const float>(p[0]), as<const std::int64_t>(p[1]), pitch, as<float>(p[2]), rows, size, swept ? &sweep : nullptr);
  });
}

void lower_sum(Lowering& l, const Node& n) {
  const int x = n.inputs[0];
  const Operand in = l.use(x, l.placed(x) && l.at(x).layout.form == Form::picture ? l.picture(DType::f32) : l.plain());  // the padding is zero
  const std::int64_t rows = l.rows(x), size = l.row_elements(x, in.layout.form);
  l.add("sum", {in, l.define(n.outputs[0], l.plain())}, [=](Stream& stream, std::span<std::byte* const> p) { kernels::sum_rows(stream, as<const float>(p[0]), as<float>(p[1]), rows, size); });
}

void lower_interpolate(Lowering& l, const Node& n) {
  const bool backward = n.op == &ops::interpolate_backward;
  const int x = n.inputs[0], y = n.outputs[0];
  const Shape &small = l.shape(backward ? y : x), &large = l.shape(backward ? x : y);
  const kernels::Resampling r{l.rows(x) * small[0], small[1], small[2], large[1], large[2], n.as<InterpolateAttributes>().mode};
  const Operand in = l.use(x, l.plain());
  l.add(n.op->name, {in, l.define(y, l.plain())},
        [=](Stream& stream, std::span<std::byte* const> p) { (backward ? kernels::interpolate_backward : kernels::interpolate)(stream, as<const float>(p[0]), as<float>(p[1]), r); });
}

void lower_channel_weighted_sum(Lowering& l, const Node& n) {
  const int x = n.inputs[1];
  const Operand weights = l.use(n.inputs[0], l.plain()), in = l.use(x, l.placed(x) && l.at(x).layout.form == Form::picture ? l.at(x).layout : l.picture(DType::f32));
  const Shape& s = l.shape(x);
  const std::int64_t rows = l.rows(x), channels = s[0], points = s[1] * s[2];
  l.add("channel_weighted_sum", {weights, in, l.define(n.outputs[0], l.plain())}, [=, type = in.layout.type](Stream& stream, std::span<std::byte* const> p) {
    kernels::channel_weighted_sum(stream, as<const float>(p[0]), p[1], type, as<float>(p[2]), rows, channels, points);
  });
}

}  // namespace limpid::cuda
