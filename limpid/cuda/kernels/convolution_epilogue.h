#pragma once
// What follows a convolution's sums, where the library does not do it.
#include <limpid/cuda/outside.h>

namespace limpid::cuda::kernels {

/// Pictures' operands; null where there is none. Channels in multiples of 8.
struct Epilogue {
  const float* bias = nullptr;
  const void* addend = nullptr;
  std::uint8_t* mask = nullptr;  // forward: written; backward: read
  Activation activation = Activation::none;
  bool backward = false;
};

/// In place: forward x = activate(x + bias + addend), mask = where it is active; backward x = x + addend where mask is, else 0.
/// x: [elements / channels, channels] of `type`.
void convolution_epilogue(Stream& stream, void* x, DType type, const Epilogue& epilogue, std::int64_t elements, std::int64_t channels);

}  // namespace limpid::cuda::kernels
