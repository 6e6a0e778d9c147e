// Convolutions, forward and backward, with all that can be done behind their sums: bias, addend, activation and the mask that the way back
// will need; on the way back the residual's gradient and that mask.
#include <limpid/cuda/convolution.h>
#include <limpid/cuda/lowering.h>
#include <limpid/runtime/ops.h>

namespace limpid::cuda {
namespace {

struct Weights {
  std::int64_t groups;  // of the plan
  bool dense;           // the groups of the op are spread into one, since the padding would cut across them
};

Weights weights_of(const Shape& w, std::int64_t groups) {
  const std::int64_t channels = w[1] * groups, outputs = w[0];
  if (groups == 1) return {1, false};
  if (groups == channels && groups == outputs) return {padded(channels), false};
  if (channels % 8 || outputs % 8) return {1, true};
  return {groups, false};
}

ConvolutionPattern pattern_of(const Lowering& l, const Conv2dAttributes& a, const Weights& weights, int x, int y) {
  ConvolutionPattern p;
  const Shape &in = l.shape(x), &out = l.shape(y);
  p.images = l.rows(x);
  p.channels = padded(in[0]);
  p.rows = in[1];
  p.columns = in[2];
  p.outputs = padded(out[0]);
  p.out_rows = out[1];
  p.out_columns = out[2];
  p.vertical = a.rows;
  p.horizontal = a.columns;
  p.groups = weights.groups;
  p.type = l.real();
  p.tf32 = l.options().precision == Precision::tf32;
  return p;
}

Operand weight_operand(Lowering& l, const Node& n, std::int64_t groups, const Weights& weights) {
  const DType type = l.real();
  const std::string name = "krsc " + std::to_string(groups) + (weights.dense ? " dense " : " ") + std::string(name_of(type));
  return l.constant(n.inputs[1], name, [=](const Tensor& w) { return arranged_weights(w, groups, weights.dense, type); });
}

Operand bias_operand(Lowering& l, int id, DType type) {
  return l.constant(id, "bias " + std::string(name_of(type)), [=](const Tensor& bias) {
    const Tensor floats = bias.to(DType::f32);
    Tensor wide(Shape{padded(bias.numel())});
    std::copy_n(floats.data<float>(), floats.numel(), wide.data<float>());
    return wide.to(type);
  });
}

void add_convolution(Lowering& l, std::string_view op, const ConvolutionPattern& pattern, const Operand& in, const Operand& weight, int bias, const Operand& addend, const Operand& out, const Operand& mask) {
  const auto plan = choose_convolution(l.options().device_index, pattern);
  std::vector<Operand> operands{in, weight, out, bias >= 0 ? bias_operand(l, bias, plan->bias_type()) : Operand{}, addend, mask, l.scratch(plan->workspace_bytes())};
  l.add(std::string(op) + " by " + plan->name(), std::move(operands), [plan](Stream& stream, std::span<std::byte* const> p) {
    plan->run(stream, {.in = p[0], .weight = p[1], .out = p[2], .bias = p[3], .addend = p[4], .mask = p[5], .workspace = p[6]});
  });
}

}  // namespace

void lower_conv2d(Lowering& l, const Node& n) {
  const auto& a = n.as<Conv2dAttributes>();
  const int x = n.inputs[0], y = n.outputs[0];
  const Weights weights = weights_of(l.shape(n.inputs[1]), a.groups);
  ConvolutionPattern pattern = pattern_of(l, a, weights, x, y);
  pattern.bias = n.has_input(2);
  pattern.addend = n.has_input(3);
  pattern.activation = a.activation;
  const Operand in = l.use(x, l.picture()), addend = pattern.addend ? l.use(n.inputs[3], l.picture()) : Operand{};
  Operand mask;
  for (int reader : l.readers(y)) {  // the mask of this very activation is written by the way
    const Node& r = l.graph().node(reader);
    if (r.op != &ops::relu_mask || a.activation == Activation::none || r.as<ActivationAttributes>().activation != a.activation) continue;
    mask = l.define(r.outputs[0], {Form::bits, l.real(), Form::picture});
    l.skip(r);
    pattern.mask = true;
    break;
  }
  add_convolution(l, "conv2d", pattern, in, weight_operand(l, n, a.groups, weights), pattern.bias ? n.inputs[2] : -1, addend, l.define(y, l.picture()), mask);
}

void lower_conv2d_backward_data(Lowering& l, const Node& n) {
  const auto& a = n.as<Conv2dAttributes>();
  const int dy = n.inputs[0], dx = n.outputs[0];
  const Weights weights = weights_of(l.shape(n.inputs[1]), a.groups);
  ConvolutionPattern pattern = pattern_of(l, a, weights, dx, dy);
  pattern.backward = true;
  const Operand in = l.use(dy, l.picture());
  Operand addend, mask;
  int out = dx;
  const auto ready = [&](int id) { return id != dx && l.placed(id) && l.at(id).layout == l.picture(); };
  // A ReLU's way back behind it, and the other gradient of a sum, if that one is there already.
  const Node* relu = l.sole_reader(dx, ops::activation_backward);
  const Node* sum = l.sole_reader(dx, ops::add);
  if (relu && relu->as<ActivationAttributes>().rule == ReluRule::plain && relu->inputs[0] != dx) {
    const int bits = relu->inputs[0], more = !relu->has_input(2) ? -1 : relu->inputs[relu->inputs[1] == dx ? 2 : 1];
    const bool masked = l.placed(bits) && l.at(bits).layout.form == Form::bits && l.at(bits).layout.of == Form::picture;
    if (masked && (more < 0 || ready(more))) {
      mask = l.at(bits);
      if (more >= 0) addend = l.at(more);
      out = relu->outputs[0];
      l.skip(*relu);
    }
  } else if (sum) {
    const int other = sum->inputs[sum->inputs[0] == dx ? 1 : 0];
    if (ready(other)) {
      addend = l.at(other);
      out = sum->outputs[0];
      l.skip(*sum);
    }
  }
  pattern.mask = mask.buffer >= 0;
  pattern.addend = addend.buffer >= 0;
  add_convolution(l, "conv2d_backward_data", pattern, in, weight_operand(l, n, a.groups, weights), -1, addend, l.define(out, l.picture()), mask);
}

}  // namespace limpid::cuda
