// 3x3 convolutions in f32 by own Winograd transforms around oneDNN's batched matrix product, forward and as gradients: where oneDNN has no Winograd
// (3.x), and at few points, where its own blocks by picture and fills no registers.
#include <limpid/cpu/lowering.h>
#include <limpid/cpu/winograd.h>
#include <limpid/runtime/ops.h>

namespace limpid::cpu {
namespace {

/// `image`: the value whose extent both sides have. Only sweeps use it: the packed weights are four times as large.
bool pays(const Lowering& l, const Node& n, int image) {
  if (l.options().precision != Precision::f32 || !l.in_sweep(image)) return false;
  const auto& a = n.as<Conv2dAttributes>();
  const Shape &x = l.graph().value(image).shape, &w = l.graph().value(n.inputs[1]).shape;
  const Axis square{3, 1, 1, 1, 1};
  if (a.groups != 1 || a.rows != square || a.columns != square || w[0] % 16 || w[1] % 16 || l.working_tag(w[0]) != memory::format_tag::nChw16c) return false;
  const bool small = x[1] >= 7 && x[2] >= 7 && x[1] < 14 && x[2] < 14 && w[0] >= 128 && w[1] >= 128;
  return small || (!has_winograd && x[1] >= 14 && x[2] >= 14 && w[0] >= 64 && w[1] >= 64);
}

struct Parts { int picture, result, bias = -1, addend = -1; Activation activation = Activation::none; const Node* unit = nullptr; };

void add_winograd(Lowering& l, const Node& n, const Parts& p, bool turned, std::string_view name) {
  const auto in = l.dims(p.picture), out = l.dims(p.result);
  const winograd::Sizes sizes{in[0], in[1], in[2], in[3], out[1]};
  const memory::dims weights{36, in[1], out[1]};
  const memory::desc from({36, sizes.tiles(), in[1]}, memory::data_type::f32, memory::format_tag::abc), to({36, sizes.tiles(), out[1]}, memory::data_type::f32, memory::format_tag::abc);
  const auto pd = matrix_product(from, {weights, memory::data_type::f32, memory::format_tag::any}, to, user_scratchpad());
  const auto packed = pack(l.graph().constant_tensor(n.inputs[1]), weights, pd.weights_desc(), turned ? "winograd turned" : "winograd",
                           [&](const Tensor& floats) { return winograd::weights(floats, turned); });
  const Operand spread = l.scratchpad(from), products = l.scratchpad(to);
  l.add(name, [sizes](std::span<void* const> m, std::int64_t, std::int64_t) { winograd::spread(static_cast<const float*>(m[0]), static_cast<float*>(m[1]), sizes); },
        {l.use(p.picture, l.working(p.picture)), spread}, " winograd:spread");
  l.add(name, pd, dnnl::matmul(pd), {{DNNL_ARG_SRC, spread}, {DNNL_ARG_WEIGHTS, {pd.weights_desc(), -1, packed, {}}}, {DNNL_ARG_DST, products}});

  // The picture is spread by now: its buffer may be the addend's too.
  const memory::desc desc = l.working(p.result);
  Operand addend;
  if (p.addend >= 0 && l.at(p.addend).desc == desc && l.take_over(p.result, p.addend)) {
    addend = l.at(p.result);
  } else {
    if (p.addend >= 0) addend = l.use(p.addend, desc);
    l.define(p.result, desc);
  }
  const Operand bias = p.bias >= 0 ? l.constant(p.bias, {out[1]}, memory::desc({out[1]}, memory::data_type::f32, memory::format_tag::a)) : Operand{};
  const ActivationAttributes rule = p.unit ? p.unit->as<ActivationAttributes>() : ActivationAttributes{};
  const bool masked = p.unit && l.graph().value(p.unit->inputs[0]).kind == Kind::index;
  l.add(name,
        [sizes, rule, masked, activation = p.activation](std::span<void* const> m, std::int64_t, std::int64_t) {
          winograd::Epilogue e;
          e.bias = static_cast<const float*>(m[2]);
          e.addend = static_cast<const float*>(m[3]);
          e.activation = activation;
          if (masked) e.mask = static_cast<const std::uint8_t*>(m[4]);
          else e.unit = static_cast<const float*>(m[4]);
          e.unit_kind = rule.activation;
          e.rule = rule.rule;
          winograd::gather(static_cast<const float*>(m[0]), static_cast<float*>(m[1]), sizes, e);
        },
        {products, l.at(p.result), bias, addend, p.unit ? l.at(p.unit->inputs[0]) : Operand{}}, " winograd:gather");
}

}  // namespace

bool lower_conv2d_by_winograd(Lowering& l, const Node& n) {
  if (!pays(l, n, n.inputs[0])) return false;
  const auto input = [&](int i) { return n.has_input(i) ? n.inputs[static_cast<std::size_t>(i)] : -1; };
  add_winograd(l, n, {n.inputs[0], n.outputs[0], input(2), input(3), n.as<Conv2dAttributes>().activation}, false, "conv2d");
  return true;
}

bool lower_conv2d_backward_data_by_winograd(Lowering& l, const Node& n) {
  const int dy = n.inputs[0], dx = n.outputs[0];
  if (!pays(l, n, dx)) return false;
  Parts p{dy, dx};
  p.unit = l.next_backward(dx);
  if (p.unit && l.at(p.unit->inputs[0]).desc != l.working(dx)) p.unit = nullptr;  // its mask lies in another order
  if (p.unit) {
    l.fuse(*p.unit);
    p.result = p.unit->outputs[0];
    if (p.unit->has_input(2)) p.addend = p.unit->inputs[1] == dx ? p.unit->inputs[2] : p.unit->inputs[1];
  }
  add_winograd(l, n, p, true, "conv2d_backward_data");
  return true;
}

}  // namespace limpid::cpu
