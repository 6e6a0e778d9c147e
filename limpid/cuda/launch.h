#pragma once
// Kernel launches on a device. Kernel files include this first; the host stand-in (tests/cuda_on_host/limpid/cuda/launch.h) shadows it and
// runs the same kernels as plain C++.
#include <limpid/cuda/outside.h>

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

namespace limpid::cuda {

/// The CUDA stream behind a Stream.
cudaStream_t native(Stream& stream);
/// Throws Error with CUDA's words unless `status` is success; `what` names the call.
void check(cudaError_t status, const char* what);

/// Queues kernel(arguments...) over `grid` blocks of `block` threads.
template <class... Parameters>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, Stream& stream, std::type_identity_t<Parameters>... arguments) {
  kernel<<<grid, block, 0, native(stream)>>>(arguments...);
  check(cudaGetLastError(), "kernel launch");
}

struct alignas(16) Bytes16 {
  std::uint32_t word[4];
};
/// 16 bytes in one access; the address must be a multiple of 16.
__device__ inline Bytes16 load16(const void* from) {
  const uint4 v = *static_cast<const uint4*>(from);
  return {{v.x, v.y, v.z, v.w}};
}
__device__ inline void store16(void* to, const Bytes16& v) { *static_cast<uint4*>(to) = make_uint4(v.word[0], v.word[1], v.word[2], v.word[3]); }

}  // namespace limpid::cuda
