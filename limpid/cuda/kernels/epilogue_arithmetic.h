#pragma once
// The arithmetic behind a convolution's sums, on one pack of eight channels: shared by every kernel that ends one.
#include <limpid/cuda/element.h>
#include <limpid/cuda/kernels/convolution_epilogue.h>

namespace limpid::cuda::kernels {

/// Writes pack number `pack` (eight elements of `out` in memory order, of the channels from `channel` on) from its sums.
template <class T>
__device__ inline void finish_pack(const Epilogue& e, Float8 v, T* out, std::int64_t pack, std::int64_t channel) {
  if (e.bias) {
    const Float8 b = load8(e.bias + channel);
    for (int k = 0; k < 8; ++k) v.v[k] += b.v[k];
  }
  if (e.addend) {
    const Float8 a = load8(static_cast<const T*>(e.addend) + 8 * pack);
    for (int k = 0; k < 8; ++k) v.v[k] += a.v[k];
  }
  if (e.backward) {
    if (e.mask) {
      const unsigned bits = e.mask[pack];
      for (int k = 0; k < 8; ++k) v.v[k] = (bits >> k & 1u) != 0 ? v.v[k] : 0.0f;
    }
  } else {
    unsigned bits = 0;
    for (int k = 0; k < 8; ++k) {
      v.v[k] = activate(v.v[k], e.activation);
      bits |= static_cast<unsigned>(is_active(v.v[k], e.activation)) << k;
    }
    if (e.mask) e.mask[pack] = static_cast<std::uint8_t>(bits);
  }
  store8(out + 8 * pack, v);
}

}  // namespace limpid::cuda::kernels
