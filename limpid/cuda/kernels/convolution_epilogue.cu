// One pass over a convolution's result, in place: a thread takes eight channels in accesses of 16 bytes. Bytes: the result read and written, the
// addend read, an eighth of a byte an element for the mask; the bias stays in the
// cache. activation_mask only reads the result and writes bits.
#include <limpid/cuda/kernels/epilogue_arithmetic.h>

namespace limpid::cuda::kernels {
namespace {

template <class T>
__global__ void epilogue_kernel(Epilogue e, T* x, std::uint32_t packs_in_all, std::uint32_t packs_a_point) {
  const std::uint32_t pack = blockIdx.x * blockDim.x + threadIdx.x;
  if (pack >= packs_in_all) return;
  finish_pack(e, load8(x + 8 * static_cast<std::int64_t>(pack)), x, pack, 8 * static_cast<std::int64_t>(pack % packs_a_point));
}

template <class T>
__global__ void mask_kernel(Activation activation, const T* x, std::uint8_t* mask, std::uint32_t packs_in_all) {
  const std::uint32_t pack = blockIdx.x * blockDim.x + threadIdx.x;
  if (pack >= packs_in_all) return;
  const Float8 v = load8(x + 8 * static_cast<std::int64_t>(pack));
  unsigned bits = 0;
  for (int k = 0; k < 8; ++k) bits |= static_cast<unsigned>(is_active(v.v[k], activation)) << k;
  mask[pack] = static_cast<std::uint8_t>(bits);
}

}  // namespace

void convolution_epilogue(Stream& stream, void* x, DType type, const Epilogue& epilogue, std::int64_t elements, std::int64_t channels) {
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(epilogue_kernel<T>, blocks_for(elements / 8), dim3(256), stream, epilogue, static_cast<T*>(x), static_cast<std::uint32_t>(elements / 8), static_cast<std::uint32_t>(channels / 8));
  });
}

void activation_mask(Stream& stream, const void* x, DType type, Activation activation, std::uint8_t* mask, std::int64_t elements) {
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(mask_kernel<T>, blocks_for(elements / 8), dim3(256), stream, activation, static_cast<const T*>(x), mask, static_cast<std::uint32_t>(elements / 8));
  });
}

}  // namespace limpid::cuda::kernels
