// Ops that go over elements one by one, in the layout that their operands have; in place where an operand dies.
#include <limpid/cuda/kernels/elementwise.h>
#include <limpid/cuda/lowering.h>
#include <limpid/runtime/ops.h>

namespace limpid::cuda {
namespace {

/// The layout that a value has, or that a constant comes in.
Layout layout_of(const Lowering& l, int id) { return l.placed(id) ? l.at(id).layout : Layout{}; }

/// The output of a step that reads `input`: in its place where it dies, else a buffer of its own.
Operand out_of(Lowering& l, int output, int input, const Operand& operand) {
  const bool own = operand.buffer >= 0 && l.placed(input) && operand.buffer == l.at(input).buffer;
  return own && l.take_over(output, input) ? l.at(output) : l.define(output, operand.layout);
}

}  // namespace

void lower_activation(Lowering& l, const Node& n) {
  const int x = n.inputs[0], y = n.outputs[0];
  const Operand in = l.use(x, layout_of(l, x)), out = out_of(l, y, x, in);
  const std::int64_t count = l.elements(x, in.layout.form);
  l.add("activation", {in, out}, [=, type = in.layout.type, kind = n.as<ActivationAttributes>().activation](Stream& stream, std::span<std::byte* const> p) { kernels::activation(stream, p[0], p[1], type, kind, count); });
}

void lower_relu_mask(Lowering& l, const Node& n) {
  const int y = n.inputs[0];
  const Operand in = l.use(y, layout_of(l, y)), out = l.define(n.outputs[0], {Form::bits, in.layout.type, in.layout.form});
  const std::int64_t count = l.elements(y, in.layout.form);
  l.add("relu_mask", {in, out}, [=, type = in.layout.type, kind = n.as<ActivationAttributes>().activation](Stream& stream, std::span<std::byte* const> p) {
    kernels::relu_mask(stream, p[0], type, kind, as<std::uint8_t>(p[1]), count);
  });
}

void lower_activation_backward(Lowering& l, const Node& n) {
  const auto a = n.as<ActivationAttributes>();
  const int y = n.inputs[0], dy = n.inputs[1];
  const bool masked = layout_of(l, y).form == Form::bits;
  const Layout layout = masked ? Layout{layout_of(l, y).of, layout_of(l, y).type} : layout_of(l, y);
  const Operand gate = masked ? l.at(y) : l.use(y, layout), gradient = l.use(dy, layout), more = n.has_input(2) ? l.use(n.inputs[2], layout) : Operand{};
  const Operand out = out_of(l, n.outputs[0], dy, gradient);
  const std::int64_t count = l.elements(dy, layout.form);
  l.add("activation_backward", {masked ? Operand{} : gate, masked ? gate : Operand{}, gradient, more, out}, [=, type = layout.type](Stream& stream, std::span<std::byte* const> p) {
    kernels::activation_backward(stream, p[0], as<const std::uint8_t>(p[1]), p[2], p[3], p[4], type, a.activation, a.rule, count);
  });
}

void lower_batch_norm(Lowering& l, const Node& n) {
  const bool backward = n.op == &ops::batch_norm_backward;
  const int x = n.inputs[0];
  const Operand in = l.use(x, layout_of(l, x)), out = out_of(l, n.outputs[0], x, in);
  const auto parameter = [&](int i) { return l.use(n.inputs[static_cast<std::size_t>(i)], l.plain()); };
  const Shape& s = l.shape(x);
  const kernels::Channels channels{s[0], s.inner().numel(), in.layout.form == Form::picture};
  const std::int64_t count = l.elements(x, in.layout.form);
  const Operand none, weight = parameter(1), bias = backward ? none : parameter(2), mean = backward ? none : parameter(3), var = parameter(backward ? 2 : 4);
  l.add(n.op->name, {in, out, weight, bias, mean, var}, [=, type = in.layout.type, epsilon = n.as<BatchNormAttributes>().epsilon](Stream& stream, std::span<std::byte* const> p) {
    kernels::batch_norm(stream, p[0], p[1], type, channels, as<const float>(p[2]), as<const float>(p[3]), as<const float>(p[4]), as<const float>(p[5]), epsilon, count);
  });
}

void lower_binary(Lowering& l, const Node& n) {
  const int a = n.inputs[0], b = n.inputs[1];
  const Layout la = layout_of(l, a), lb = layout_of(l, b);
  const bool picture = la.form == Form::picture || lb.form == Form::picture;
  const Layout layout = picture ? l.picture(la == lb ? la.type : DType::f32) : l.plain();  // a plain side is an f32 one
  const Operand left = l.use(a, layout), right = l.use(b, layout), out = a == b ? l.define(n.outputs[0], layout) : out_of(l, n.outputs[0], a, left);
  const std::int64_t count = l.elements(a, layout.form);
  const auto op = n.op == &ops::add ? kernels::Binary::add : n.op == &ops::sub ? kernels::Binary::sub : kernels::Binary::mul;
  l.add(n.op->name, {left, right, out}, [=, type = layout.type](Stream& stream, std::span<std::byte* const> p) { kernels::binary(stream, op, p[0], p[1], p[2], type, count); });
}

void lower_unary(Lowering& l, const Node& n) {
  const int x = n.inputs[0];
  const Operand in = l.use(x, layout_of(l, x)), out = out_of(l, n.outputs[0], x, in);
  const std::int64_t count = l.elements(x, in.layout.form);
  const bool is_scale = n.op == &ops::scale;
  const auto factor = is_scale ? static_cast<float>(n.as<ScalarAttributes>().value) : 0.f;
  l.add(n.op->name, {in, out}, [=, type = in.layout.type](Stream& stream, std::span<std::byte* const> p) {
    if (is_scale) kernels::scale(stream, p[0], factor, p[1], type, count);
    else kernels::absolute(stream, p[0], p[1], type, count);
  });
}

void lower_fill_like(Lowering& l, const Node& n) {
  const int y = n.outputs[0];
  const std::int64_t count = l.elements(y, Form::plain);
  const auto value = static_cast<float>(n.as<ScalarAttributes>().value);
  l.add("fill_like", {l.define(y, l.plain())}, [=](Stream& stream, std::span<std::byte* const> p) { kernels::fill(stream, value, as<float>(p[0]), count); });
}

}  // namespace limpid::cuda
