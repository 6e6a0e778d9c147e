#include <limpid/cpu/ending.h>
#include <limpid/runtime/ops.h>

namespace limpid::cpu {

Ending::Ending(Lowering& l, const Node& n) : result_(n.outputs[0]) {
  if (n.op == &ops::conv2d) {
    if (n.has_input(2)) bias_ = n.inputs[2];
    if (n.has_input(3)) addend_ = n.inputs[3];
    activation_ = n.as<Conv2dAttributes>().activation;
    mask_ = l.next_mask(result_, activation_);
    if (mask_) l.fuse(*mask_);
    return;
  }
  unit_ = l.next_backward(result_);
  if (unit_ && l.at(unit_->inputs[0]).desc != l.working(result_)) unit_ = nullptr;  // its mask lies in another order
  if (!unit_) return;
  l.fuse(*unit_);
  if (unit_->has_input(2)) addend_ = unit_->inputs[1] == result_ ? unit_->inputs[2] : unit_->inputs[1];
  result_ = unit_->outputs[0];
}

std::vector<Operand> Ending::operands(Lowering& l, int picture) const {
  const memory::desc desc = l.working(result_);
  Operand addend;
  if (addend_ >= 0 && l.at(addend_).desc == desc && (picture < 0 || l.at(addend_).buffer != l.at(picture).buffer) && l.take_over(result_, addend_)) {
    addend = l.at(result_);
  } else {
    if (addend_ >= 0) addend = l.use(addend_, desc);
    l.define(result_, desc);
  }
  const std::int64_t outs = l.dims(result_)[1];
  return {l.at(result_), bias_ >= 0 ? l.constant(bias_, {outs}, memory::desc({outs}, memory::data_type::f32, memory::format_tag::a)) : Operand{}, addend,
          unit_ ? l.at(unit_->inputs[0]) : Operand{}, mask_ ? define_mask(l, result_, *mask_) : Operand{}};
}

Ending::Binding Ending::binding(const Lowering& l) const {
  const ActivationAttributes unit = unit_ ? unit_->as<ActivationAttributes>() : ActivationAttributes{};
  return {activation_, unit.activation, unit.rule, unit_ && l.graph().value(unit_->inputs[0]).kind == Kind::index};
}

}  // namespace limpid::cpu
