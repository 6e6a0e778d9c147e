#pragma once
// Eight channels side by side, the unit in which kernels move pictures: one or two accesses of 16 bytes, computed on in f32.
#include <limpid/cuda/launch.h>
#include <limpid/runtime/dtype.h>
#include <limpid/runtime/error.h>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

#include <bit>

namespace limpid::cuda {

struct Float8 {
  float v[8];
};

#ifdef __CUDA_ARCH__
__device__ inline float2 unpack(std::uint32_t bits, bfloat16) { return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&bits)); }
__device__ inline float2 unpack(std::uint32_t bits, float16) { return __half22float2(*reinterpret_cast<const __half2*>(&bits)); }
__device__ inline std::uint32_t pack(float low, float high, bfloat16) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&both);
}
__device__ inline std::uint32_t pack(float low, float high, float16) {
  const __half2 both = __floats2half2_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&both);
}
#else
struct FloatPair {
  float x, y;
};
template <class T>
LIMPID_HD inline FloatPair unpack(std::uint32_t bits, T) {
  T low, high;
  low.bits = static_cast<std::uint16_t>(bits & 0xffffu);
  high.bits = static_cast<std::uint16_t>(bits >> 16);
  return {static_cast<float>(low), static_cast<float>(high)};
}
template <class T>
LIMPID_HD inline std::uint32_t pack(float low, float high, T) {
  return static_cast<std::uint32_t>(T(low).bits) | static_cast<std::uint32_t>(T(high).bits) << 16;
}
#endif

/// Eight elements from a multiple of eight elements.
template <class T>
__device__ inline Float8 load8(const T* from) {
  Float8 f;
  if constexpr (std::is_same_v<T, float>) {
    const Bytes16 a = load16(from), b = load16(from + 4);
    for (int i = 0; i < 4; ++i) {
      f.v[i] = std::bit_cast<float>(a.word[i]);
      f.v[4 + i] = std::bit_cast<float>(b.word[i]);
    }
  } else {
    const Bytes16 a = load16(from);
    for (int i = 0; i < 4; ++i) {
      const auto pair = unpack(a.word[i], T{});
      f.v[2 * i] = pair.x;
      f.v[2 * i + 1] = pair.y;
    }
  }
  return f;
}

template <class T>
__device__ inline void store8(T* to, const Float8& f) {
  if constexpr (std::is_same_v<T, float>) {
    Bytes16 a, b;
    for (int i = 0; i < 4; ++i) {
      a.word[i] = std::bit_cast<std::uint32_t>(f.v[i]);
      b.word[i] = std::bit_cast<std::uint32_t>(f.v[4 + i]);
    }
    store16(to, a);
    store16(to + 4, b);
  } else {
    Bytes16 a;
    for (int i = 0; i < 4; ++i) a.word[i] = pack(f.v[2 * i], f.v[2 * i + 1], T{});
    store16(to, a);
  }
}

/// Elements i to i + 7 of n; those behind the end are zero.
template <class T>
__device__ inline Float8 load_some(const T* base, std::int64_t i, std::int64_t n) {
  if (i + 8 <= n) return load8(base + i);
  Float8 f{};
  for (int k = 0; i + k < n; ++k) f.v[k] = static_cast<float>(base[i + k]);
  return f;
}
template <class T>
__device__ inline void store_some(T* base, std::int64_t i, std::int64_t n, const Float8& f) {
  if (i + 8 <= n) return store8(base + i, f);
  for (int k = 0; i + k < n; ++k) base[i + k] = static_cast<T>(f.v[k]);
}

/// Calls f with a value of the element type of pictures: f32, bf16 or f16.
template <class F>
void dispatch_element(DType type, F&& f) {
  if (type == DType::f32) f(float{});
  else if (type == DType::bf16) f(bfloat16{});
  else f(float16{});
}

/// Blocks of `threads` that cover n items. Kernels take items apart in 32 bits, which is several times as fast as in 64.
inline dim3 blocks_for(std::int64_t n, unsigned threads = 256) {
  if (n >= std::int64_t{1} << 31) fail(ErrorCode::out_of_memory, "cuda: ", n, " items in one pass; give a smaller batch.");
  return dim3(static_cast<unsigned>((n + threads - 1) / threads));
}
inline std::int64_t packs(std::int64_t elements) { return (elements + 7) / 8; }

/// The number of this thread among all of the launch.
__device__ inline std::int64_t thread_number() { return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

}  // namespace limpid::cuda
