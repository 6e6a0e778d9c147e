// Convolutions by own kernels where the processor has AMX. In bf16 oneDNN's are as fast on large pictures, but slow at 7x7, in gradients of strided
// convolutions and with an addend, and cannot end in a ReLU's backward op; in f32 it does not use the tiles.
#include <limpid/cpu/amx.h>
#include <limpid/cpu/lowering.h>
#include <limpid/runtime/ops.h>
#include <limpid/runtime/parallel.h>

namespace limpid::cpu {
namespace {

/// `picture` is what the convolution reads, `result` what it gives: x and y forward, dy and dx backward.
amx::Sizes sizes(const Lowering& l, int picture, int result) {
  const auto in = l.dims(picture), out = l.dims(result);
  return {in[0], in[1], in[2], in[3], out[1], out[2], out[3]};
}

bool on_tiles(const Lowering& l, const Node& n) {
  const auto s = sizes(l, n.inputs[0], n.outputs[0]);
  return on_amx() && n.as<Conv2dAttributes>().groups == 1 && s.channels % 32 == 0 && s.outs % 32 == 0;
}

template <class T>
Operand arranged(const Lowering& l, int id, const amx::Convolution<T>& conv, const std::string& arrangement) {
  const std::int64_t count = conv.weight_count();
  const memory::desc line({count}, memory::data_type::bf16, memory::format_tag::a);
  return {line, -1, pack(l.graph().constant_tensor(id), {count}, line, arrangement, [&](const Tensor& w) {
            Tensor result(Shape{count});
            conv.arrange(w.data<float>(), result.data<float>());
            return result;
          }), {}};
}

/// The addend in the result's layout: its own buffer where that can become the result's.
Operand place(Lowering& l, int result, int picture, int addend) {
  const memory::desc desc = l.working(result);
  if (addend >= 0 && l.at(addend).desc == desc && l.at(addend).buffer != l.at(picture).buffer && l.take_over(result, addend)) return l.at(result);
  const Operand other = addend >= 0 ? l.use(addend, desc) : Operand{};
  l.define(result, desc);
  return other;
}

template <class T>
Operand scratch_for(Lowering& l, const amx::Convolution<T>& conv) {
  return l.scratchpad(memory::desc({static_cast<std::int64_t>(conv.scratch_bytes())}, memory::data_type::u8, memory::format_tag::a));
}

template <class T>
constexpr const char* implementation = std::is_same_v<T, float> ? " tiles:amx_3xbf16" : " tiles:amx_bf16";

template <class T>
void add_forward(Lowering& l, const Node& n) {
  const auto& a = n.as<Conv2dAttributes>();
  const int x = n.inputs[0], y = n.outputs[0];
  const auto conv = amx::Convolution<T>::forward(sizes(l, x, y), a.rows, a.columns, thread_count());
  const Node* mask = l.next_mask(y, a.activation);
  if (mask) l.fuse(*mask);
  const Operand in = l.use(x, l.working(x)), addend = place(l, y, x, n.has_input(3) ? n.inputs[3] : -1);
  const Operand bias = n.has_input(2) ? l.constant(n.inputs[2], {l.dims(y)[1]}, memory::desc({l.dims(y)[1]}, memory::data_type::f32, memory::format_tag::a)) : Operand{};
  const Operand scratch = scratch_for(l, conv);
  l.add("conv2d",
        [conv, activation = a.activation](std::span<void* const> p, std::int64_t, std::int64_t) {
          amx::Epilogue<T> e;
          e.bias = static_cast<const float*>(p[4]);
          e.addend = static_cast<const T*>(p[5]);
          e.activation = activation;
          e.active = static_cast<std::uint8_t*>(p[6]);
          conv.run(static_cast<const T*>(p[0]), static_cast<const bfloat16*>(p[1]), static_cast<T*>(p[2]), p[3], e);
        },
        {in, arranged(l, n.inputs[1], conv, std::string("forward") + implementation<T>), l.at(y), scratch, bias, addend, mask ? define_mask(l, y, *mask) : Operand{}}, implementation<T>);
}

template <class T>
void add_backward_data(Lowering& l, const Node& n) {
  const auto& a = n.as<Conv2dAttributes>();
  const int dy = n.inputs[0], dx = n.outputs[0];
  const auto conv = amx::Convolution<T>::backward(sizes(l, dy, dx), a.rows, a.columns, thread_count());
  std::string arrangement = std::string("backward") + implementation<T>;
  for (const Axis& axis : {a.rows, a.columns})
    for (const std::int64_t extent : {axis.stride, axis.begin, axis.dilation}) arrangement += ' ' + std::to_string(extent);

  const Operand in = l.use(dy, l.working(dy));
  const Node* unit = l.next_backward(dx);
  if (unit && l.at(unit->inputs[0]).desc != l.working(dx)) unit = nullptr;  // its masks lie in another order
  const int result = unit ? unit->outputs[0] : dx;
  int other = -1;
  if (unit) {
    l.fuse(*unit);
    if (unit->has_input(2)) other = unit->inputs[1] == dx ? unit->inputs[2] : unit->inputs[1];
  }
  const Operand addend = place(l, result, dy, other);
  const Operand scratch = scratch_for(l, conv);
  const ActivationAttributes rule = unit ? unit->as<ActivationAttributes>() : ActivationAttributes{};
  const bool masked = unit && l.graph().value(unit->inputs[0]).kind == Kind::index;
  l.add("conv2d_backward_data",
        [conv, rule, masked](std::span<void* const> p, std::int64_t, std::int64_t) {
          amx::Epilogue<T> e;
          e.addend = static_cast<const T*>(p[4]);
          if (masked) e.mask = static_cast<const std::uint8_t*>(p[5]);
          else e.unit = static_cast<const T*>(p[5]);
          e.unit_kind = rule.activation;
          e.rule = rule.rule;
          conv.run(static_cast<const T*>(p[0]), static_cast<const bfloat16*>(p[1]), static_cast<T*>(p[2]), p[3], e);
        },
        {in, arranged(l, n.inputs[1], conv, arrangement), l.at(result), scratch, addend, unit ? l.at(unit->inputs[0]) : Operand{}}, implementation<T>);
}

bool in_bf16(const Lowering& l) { return l.real() == memory::data_type::bf16; }

}  // namespace

bool on_amx() {
  static const bool usable = uses(dnnl::cpu_isa::avx512_core_amx) && amx::available();
  return usable;
}

bool lower_conv2d_on_tiles(Lowering& l, const Node& n) {
  if (!on_tiles(l, n)) return false;
  in_bf16(l) ? add_forward<bfloat16>(l, n) : add_forward<float>(l, n);
  return true;
}

bool lower_conv2d_backward_data_on_tiles(Lowering& l, const Node& n) {
  if (!on_tiles(l, n)) return false;
  in_bf16(l) ? add_backward_data<bfloat16>(l, n) : add_backward_data<float>(l, n);
  return true;
}

}  // namespace limpid::cpu
