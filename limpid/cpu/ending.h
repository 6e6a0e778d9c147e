#pragma once
// The part of lowering a convolution that AMX and Winograd share: the nodes behind it that it takes in, and where its result goes.
#include <limpid/cpu/epilogue.h>
#include <limpid/cpu/lowering.h>

namespace limpid::cpu {

/// The end of a conv2d or conv2d_backward_data that a step computes, with the nodes behind it that it takes in: a relu_mask, an activation_backward.
class Ending {
 public:
  Ending(Lowering& l, const Node& convolution);
  /// The value that the step gives.
  int result() const { return result_; }
  /// Gives the result a buffer, which is the addend's where that dies here. `picture`: a value whose buffer is still read then; -1: none.
  /// -> the operands that `bind` wants, the result first.
  std::vector<Operand> operands(Lowering& l, int picture) const;

  /// What a kernel keeps of it.
  struct Binding {
    Activation activation, unit_kind;
    ReluRule rule;
    bool masked;
    template <class T>
    Epilogue<T> operator()(std::span<void* const> p) const {
      return {static_cast<const float*>(p[1]), static_cast<const T*>(p[2]), activation, masked ? nullptr : static_cast<const T*>(p[3]), masked ? static_cast<const std::uint8_t*>(p[3]) : nullptr,
              unit_kind, rule, static_cast<std::uint8_t*>(p[4])};
    }
  };
  Binding binding(const Lowering& l) const;

 private:
  int result_, bias_ = -1, addend_ = -1;
  Activation activation_ = Activation::none;
  const Node *unit_ = nullptr, *mask_ = nullptr;
};

}  // namespace limpid::cpu
