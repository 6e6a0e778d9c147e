#pragma once
// Shadows limpid/cuda/launch.h by include order: CUDA's language as plain C++, for kernels that run on the host. A launch queues; when
// the queue runs, blocks go one after the other and a block's threads as fibers, both in a seeded, shuffled order (block.cpp). Only what
// sm_75 has is here, and nothing whose meaning hangs on how threads converge (`__activemask`), so that a kernel that uses it does not compile.
#include <limpid/cuda/outside.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <source_location>
#include <string>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __shared__ static thread_local
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) alignas(n)

struct uint3 { unsigned x, y, z; };
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
constexpr float2 make_float2(float x, float y) { return {x, y}; }
constexpr float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
constexpr uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
constexpr uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
constexpr int2 make_int2(int x, int y) { return {x, y}; }
constexpr int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }

extern constinit thread_local uint3 threadIdx, blockIdx;
extern constinit thread_local dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace limpid::cuda::on_host {

/// Where threads wait for each other. All that take part must do so by the same call.
struct Meeting {
  enum Kind : std::uint8_t { barrier, warp, shuffle, ballot } kind = barrier;
  std::uint32_t mask = 0;       // the lanes that take part; a barrier takes the block
  std::uint64_t value = 0;      // what this thread brings
  int lane = 0;                 // shuffle: whose value it takes away
  std::source_location where = {};
};
/// Waits; returns how many brought a value that is not zero (barrier), the lane's value (shuffle), or a bit for each (ballot).
std::uint64_t meet(const Meeting& meeting);

/// Throws Trap, naming the kernel and the thread.
[[noreturn]] void trap(const std::string& what);
/// Traps unless `bytes` from p on are device memory, this block's shared memory or this thread's own, and p is a multiple of `alignment`.
void check_access(const void* p, std::size_t bytes, std::size_t alignment);
/// Traps unless p is null or points into (or to the end of) device memory.
void check_argument(const void* kernel, std::size_t number, const void* p);
/// `check` runs before the kernel does, `thread` once for each thread.
void queue_kernel(Stream& stream, const void* kernel, dim3 grid, dim3 block, std::function<void()> check, std::function<void()> thread);

template <class T>
std::uint64_t to_word(T v) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  std::uint64_t word = 0;
  std::memcpy(&word, &v, sizeof v);
  return word;
}
template <class T>
T from_word(std::uint64_t word) {
  T v;
  std::memcpy(&v, &word, sizeof v);
  return v;
}

/// `source` counts within a segment of `width` lanes; outside of it a lane keeps its own value.
template <class T>
T shuffle(unsigned mask, T v, int lane, int source, int width, const std::source_location& where) {
  const int first = lane / width * width;
  return from_word<T>(meet({Meeting::shuffle, mask, to_word(v), source >= first && source < first + width ? source : lane, where}));
}
inline int lane() { return static_cast<int>((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32); }

}  // namespace limpid::cuda::on_host

// ---- Threads of a block and of a warp.
using limpid_where = std::source_location;
inline void __syncthreads(limpid_where where = limpid_where::current()) { limpid::cuda::on_host::meet({limpid::cuda::on_host::Meeting::barrier, 0, 0, 0, where}); }
inline int __syncthreads_count(int p, limpid_where where = limpid_where::current()) {
  return static_cast<int>(limpid::cuda::on_host::meet({limpid::cuda::on_host::Meeting::barrier, 0, p != 0, 0, where}));
}
inline int __syncthreads_or(int p, limpid_where where = limpid_where::current()) { return __syncthreads_count(p, where) != 0; }
inline int __syncthreads_and(int p, limpid_where where = limpid_where::current()) { return __syncthreads_count(!p, where) == 0; }
inline void __syncwarp(unsigned mask = ~0u, limpid_where where = limpid_where::current()) {
  limpid::cuda::on_host::meet({limpid::cuda::on_host::Meeting::warp, mask, 0, 0, where});
}
template <class T>
T __shfl_sync(unsigned mask, T v, int source, int width = 32, limpid_where where = limpid_where::current()) {
  const int lane = limpid::cuda::on_host::lane();
  return limpid::cuda::on_host::shuffle(mask, v, lane, lane / width * width + source % width, width, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, limpid_where where = limpid_where::current()) {
  const int lane = limpid::cuda::on_host::lane();
  return limpid::cuda::on_host::shuffle(mask, v, lane, lane + static_cast<int>(delta), width, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, limpid_where where = limpid_where::current()) {
  const int lane = limpid::cuda::on_host::lane();
  return limpid::cuda::on_host::shuffle(mask, v, lane, lane - static_cast<int>(delta), width, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int other, int width = 32, limpid_where where = limpid_where::current()) {
  const int lane = limpid::cuda::on_host::lane();
  return limpid::cuda::on_host::shuffle(mask, v, lane, lane ^ other, width, where);
}
inline unsigned __ballot_sync(unsigned mask, int p, limpid_where where = limpid_where::current()) {
  return static_cast<unsigned>(limpid::cuda::on_host::meet({limpid::cuda::on_host::Meeting::ballot, mask, p != 0, 0, where}));
}
inline int __any_sync(unsigned mask, int p, limpid_where where = limpid_where::current()) { return __ballot_sync(mask, p, where) != 0; }
inline int __all_sync(unsigned mask, int p, limpid_where where = limpid_where::current()) { return __ballot_sync(mask, !p, where) == 0; }
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __threadfence_block() { std::atomic_thread_fence(std::memory_order_seq_cst); }
[[noreturn]] inline void __trap() { limpid::cuda::on_host::trap("__trap() was called"); }

// ---- Atomics return what was there before.
template <class T> T atomicAdd(T* p, std::type_identity_t<T> v) { return std::atomic_ref<T>(*p).fetch_add(v); }
template <class T> T atomicSub(T* p, std::type_identity_t<T> v) { return std::atomic_ref<T>(*p).fetch_sub(v); }
template <class T> T atomicOr(T* p, std::type_identity_t<T> v) { return std::atomic_ref<T>(*p).fetch_or(v); }
template <class T> T atomicAnd(T* p, std::type_identity_t<T> v) { return std::atomic_ref<T>(*p).fetch_and(v); }
template <class T> T atomicXor(T* p, std::type_identity_t<T> v) { return std::atomic_ref<T>(*p).fetch_xor(v); }
template <class T> T atomicExch(T* p, std::type_identity_t<T> v) { return std::atomic_ref<T>(*p).exchange(v); }
template <class T> T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  std::atomic_ref<T>(*p).compare_exchange_strong(expected, v);
  return expected;
}
template <class T> T atomicMax(T* p, std::type_identity_t<T> v) {
  T old = *p;
  while (old < v && !std::atomic_ref<T>(*p).compare_exchange_weak(old, v)) {}
  return old;
}
template <class T> T atomicMin(T* p, std::type_identity_t<T> v) {
  T old = *p;
  while (v < old && !std::atomic_ref<T>(*p).compare_exchange_weak(old, v)) {}
  return old;
}

// ---- Numbers. min and max of two types that differ are ambiguous or surprising in CUDA, so they do not compile here.
template <class T> requires std::is_arithmetic_v<T> constexpr T min(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return std::fmin(a, b);
  else return b < a ? b : a;
}
template <class T> requires std::is_arithmetic_v<T> constexpr T max(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return std::fmax(a, b);
  else return a < b ? b : a;
}
inline int __popc(unsigned v) { return std::popcount(v); }
inline int __popcll(unsigned long long v) { return std::popcount(v); }
inline int __clz(int v) { return std::countl_zero(static_cast<unsigned>(v)); }
inline int __ffs(int v) { return v ? std::countr_zero(static_cast<unsigned>(v)) + 1 : 0; }
inline unsigned __brev(unsigned v) {
  unsigned r = 0;
  for (int i = 0; i < 32; ++i) r |= (v >> i & 1u) << (31 - i);
  return r;
}
inline float __uint_as_float(unsigned v) { return std::bit_cast<float>(v); }
inline float __int_as_float(int v) { return std::bit_cast<float>(v); }
inline unsigned __float_as_uint(float v) { return std::bit_cast<unsigned>(v); }
inline int __float_as_int(float v) { return std::bit_cast<int>(v); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __expf(float v) { return std::exp(v); }
inline float rsqrtf(float v) { return 1 / std::sqrt(v); }
inline float __saturatef(float v) { return v >= 1 ? 1 : v > 0 ? v : 0; }
template <class T> T __ldg(const T* p) {
  limpid::cuda::on_host::check_access(p, sizeof(T), alignof(T));
  return *p;
}
template <class T> T __ldcs(const T* p) { return __ldg(p); }
template <class T> void __stcs(T* p, T v) {
  limpid::cuda::on_host::check_access(p, sizeof(T), alignof(T));
  *p = v;
}

namespace limpid::cuda {

/// Queues kernel(arguments...) over `grid` blocks of `block` threads.
template <class... Parameters>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, Stream& stream, std::type_identity_t<Parameters>... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...), "kernel parameters are copied byte by byte");
  static_assert((sizeof(Parameters) + ... + 0) <= 4096, "kernel parameters may take 4096 bytes");
  const auto address = reinterpret_cast<const void*>(kernel);
  const auto check = [=] {
    [[maybe_unused]] std::size_t number = 0;
    [[maybe_unused]] const auto one = [&]([[maybe_unused]] const auto& argument) {
      ++number;
      if constexpr (std::is_pointer_v<std::remove_cvref_t<decltype(argument)>>) on_host::check_argument(address, number, argument);
    };
    (one(arguments), ...);
  };
  check();
  on_host::queue_kernel(stream, address, grid, block, check, [=] { kernel(arguments...); });
}

struct alignas(16) Bytes16 {
  std::uint32_t word[4];
};
/// 16 bytes in one access; traps unless the address is a multiple of 16.
inline Bytes16 load16(const void* from) {
  on_host::check_access(from, 16, 16);
  Bytes16 v;
  std::memcpy(&v, from, 16);
  return v;
}
inline void store16(void* to, const Bytes16& v) {
  on_host::check_access(to, 16, 16);
  std::memcpy(to, &v, 16);
}

}  // namespace limpid::cuda
