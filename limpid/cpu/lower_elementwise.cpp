// Ops that go over elements one by one, in the layout that their operands share; in place where the operand dies.
#include <limpid/cpu/kernels.h>
#include <limpid/cpu/lowering.h>
#include <limpid/runtime/ops.h>

namespace limpid::cpu {
namespace {

bool is_narrow(const memory::desc& d) { return type_of(d) == memory::data_type::bf16; }

/// Elements in memory, padding included (which these loops keep at zero).
std::int64_t elements(const memory::desc& d) { return static_cast<std::int64_t>(d.get_size() / (is_narrow(d) ? 2 : 4)); }

}  // namespace

void lower_activation(Lowering& l, const Node& n) {
  const int x = n.inputs[0], y = n.outputs[0];
  const Operand in = l.at(x);
  const bool in_place = l.take_over(y, x);
  if (const Node& source = l.graph().producer(x); in_place && source.op == &ops::path_points && activation_behind(l, source) == &n) return;  // done there
  if (!in_place) l.define(y, in.desc);
  const bool narrow = is_narrow(in.desc);
  const std::int64_t count = elements(in.desc);
  l.add("activation", [=, kind = n.as<ActivationAttributes>().activation](std::span<void* const> p, std::int64_t, std::int64_t) { kernels::activation(p[0], p[1], narrow, count, kind); },
        {in, l.at(y)});
}

/// One bit an element, in the order in which y's elements lie; the mask's operand carries y's layout.
void lower_relu_mask(Lowering& l, const Node& n) {
  const Operand y = l.at(n.inputs[0]);
  const bool narrow = is_narrow(y.desc);
  const std::int64_t count = elements(y.desc);
  l.add("relu_mask",
        [=, kind = n.as<ActivationAttributes>().activation](std::span<void* const> p, std::int64_t, std::int64_t) { kernels::relu_mask(p[0], static_cast<std::uint8_t*>(p[1]), narrow, count, kind); },
        {y, l.define(n.outputs[0], y.desc, static_cast<std::size_t>(count + 7) / 8)});
}

void lower_activation_backward(Lowering& l, const Node& n) {
  const auto a = n.as<ActivationAttributes>();
  const int y = n.inputs[0], dy = n.inputs[1], dx = n.outputs[0];
  const memory::desc desc = l.at(y).desc;
  const Operand gradient = l.use(dy, desc);
  const Operand more = n.has_input(2) ? l.use(n.inputs[2], desc) : Operand{};
  const bool own = gradient.buffer == l.at(dy).buffer;
  if (!(own && l.take_over(dx, dy))) l.define(dx, desc);
  const bool narrow = is_narrow(desc);
  const std::int64_t count = elements(desc);
  const bool masked = l.graph().value(y).kind == Kind::index;
  l.add("activation_backward",
        [=](std::span<void* const> p, std::int64_t, std::int64_t) {
          if (masked) kernels::masked_backward(static_cast<const std::uint8_t*>(p[0]), p[1], p[2], p[3], narrow, count, a.rule);
          else kernels::activation_backward(p[0], p[1], p[2], p[3], narrow, count, a.activation, a.rule);
        },
        {l.at(y), gradient, more, l.at(dx)});
}

void lower_binary(Lowering& l, const Node& n) {
  const int a = n.inputs[0], b = n.inputs[1], out = n.outputs[0];
  const auto* way = n.op == &ops::add ? l.next_way_back(out) : nullptr;
  if (way && l.in_sweep(a) && l.in_sweep(b)) {
    lower_way_back(l, *way, a, b);
    return l.skip(*way->pool);
  }
  if (l.graph().is_constant(b)) return lower_by_reference(l, n);
  const bool narrow = is_narrow(l.at(a).desc) && is_narrow(l.at(b).desc) && n.op == &ops::add;
  memory::desc desc = l.same_layout(l.at(a).desc, a, narrow ? memory::data_type::bf16 : memory::data_type::f32);
  if (!desc.get_size()) desc = l.plain(a, narrow ? memory::data_type::bf16 : memory::data_type::f32);
  const Operand left = l.use(a, desc), right = l.use(b, desc);
  const bool own = left.buffer == l.at(a).buffer && a != b;
  if (!(own && l.take_over(out, a))) l.define(out, desc);
  const std::int64_t count = elements(desc);
  const auto op = n.op == &ops::add ? kernels::Binary::add : n.op == &ops::sub ? kernels::Binary::sub : kernels::Binary::mul;
  l.add(n.op->name,
        [=](std::span<void* const> p, std::int64_t, std::int64_t) {
          if (narrow) kernels::add(p[0], p[1], p[2], true, count);
          else kernels::binary(op, static_cast<const float*>(p[0]), static_cast<const float*>(p[1]), static_cast<float*>(p[2]), count);
        },
        {left, right, l.at(out)});
}

void lower_unary(Lowering& l, const Node& n) {
  const int x = n.inputs[0], y = n.outputs[0];
  memory::desc desc = l.same_layout(l.at(x).desc, x, memory::data_type::f32);
  if (!desc.get_size()) desc = l.plain(x);
  const Operand in = l.use(x, desc);
  const std::int64_t count = elements(desc);
  const bool is_scale = n.op == &ops::scale;
  const auto factor = is_scale ? static_cast<float>(n.as<ScalarAttributes>().value) : 0.f;
  l.add(n.op->name,
        [=](std::span<void* const> p, std::int64_t, std::int64_t) {
          if (is_scale) kernels::scale(static_cast<const float*>(p[0]), static_cast<float*>(p[1]), count, factor);
          else kernels::absolute(static_cast<const float*>(p[0]), static_cast<float*>(p[1]), count);
        },
        {in, l.define(y, desc)});
}

}  // namespace limpid::cpu
