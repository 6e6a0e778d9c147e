#pragma once
// What own convolution kernels do to a sum before they store it.
#include <limpid/runtime/functors.h>

namespace limpid::cpu {

/// In the kernel's layout: + bias, + addend, then an activation or its reverse. Null: nothing.
template <class T>
struct Epilogue {
  const float* bias = nullptr;
  const T* addend = nullptr;           // may be the result
  Activation activation = Activation::none;
  const T* unit = nullptr;             // the output of the activation whose backward rule is applied,
  const std::uint8_t* mask = nullptr;  // or a bit an element: whether it is active
  Activation unit_kind = Activation::relu;
  ReluRule rule = ReluRule::plain;
  std::uint8_t* active = nullptr;      // gets the mask of the result, a bit an element
};

}  // namespace limpid::cpu
