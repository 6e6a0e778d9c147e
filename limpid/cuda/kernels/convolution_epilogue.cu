// One pass over a convolution's result, in place: a thread takes eight channels in accesses of 16 bytes. Bytes: the result read and written, the
// addend read, an eighth of a byte an element for the mask; the bias stays in the cache.
#include <limpid/cuda/kernels/epilogue_arithmetic.h>

namespace limpid::cuda::kernels {
namespace {

template <class T>
__global__ void epilogue_kernel(Epilogue e, T* x, std::uint32_t packs_in_all, std::uint32_t packs_a_point) {
  const std::uint32_t pack = blockIdx.x * blockDim.x + threadIdx.x;
  if (pack >= packs_in_all) return;
  finish_pack(e, load8(x + 8 * static_cast<std::int64_t>(pack)), x, pack, 8 * static_cast<std::int64_t>(pack % packs_a_point));
}

}  // namespace

void convolution_epilogue(Stream& stream, void* x, DType type, const Epilogue& epilogue, std::int64_t elements, std::int64_t channels) {
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(epilogue_kernel<T>, blocks_for(elements / 8), dim3(256), stream, epilogue, static_cast<T*>(x), static_cast<std::uint32_t>(elements / 8), static_cast<std::uint32_t>(channels / 8));
  });
}

}  // namespace limpid::cuda::kernels
