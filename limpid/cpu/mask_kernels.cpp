// ReLU masks of one bit an element: made behind the forward op, read by the backward one.
#include <limpid/cpu/avx512.h>
#include <limpid/cpu/kernels.h>
#include <limpid/runtime/parallel.h>

#include <algorithm>
#include <cstring>

namespace limpid::cpu::kernels {
namespace {

constexpr std::int64_t block_size = 1 << 14;  // elements; a multiple of 16, so that blocks share no byte of a mask

template <class F>
void in_blocks(std::int64_t n, F f) {
  parallel_for((n + block_size - 1) / block_size, [&](std::int64_t i) { f(i * block_size, std::min(n, (i + 1) * block_size)); });
}

template <class T>
void mask_block(const T* y, std::uint8_t* mask, std::int64_t n, Activation kind) {
  for (std::int64_t i = 0; i < n; i += 8) {
    unsigned bits = 0;
    for (std::int64_t k = 0; k < std::min<std::int64_t>(8, n - i); ++k) bits |= static_cast<unsigned>(is_active(static_cast<float>(y[i + k]), kind)) << k;
    mask[i / 8] = static_cast<std::uint8_t>(bits);
  }
}

template <class T>
void backward_block(const std::uint8_t* mask, const T* dy, const T* more, T* dx, std::int64_t n, ReluRule rule) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float gradient = static_cast<float>(dy[i]) + (more ? static_cast<float>(more[i]) : 0.f);
    dx[i] = T(pass_back((mask[i / 8] >> (i % 8) & 1) != 0, gradient, rule));
  }
}

#ifdef LIMPID_AVX512
/// The first n / 16 * 16 elements; returns how many.
template <class T>
LIMPID_AVX512 std::int64_t mask_wide(const T* y, std::uint8_t* mask, std::int64_t n, Activation kind) {
  const __m512 zero = _mm512_setzero_ps(), top = _mm512_set1_ps(kind == Activation::relu6 ? 6.f : __builtin_inff());
  const bool bounded = kind == Activation::relu6;
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m512 v = load16(y + i);
    __mmask16 active = _mm512_cmp_ps_mask(v, zero, _CMP_GT_OQ);
    if (bounded) active = _mm512_mask_cmp_ps_mask(active, v, top, _CMP_LT_OQ);
    const auto bits = static_cast<std::uint16_t>(active);
    std::memcpy(mask + i / 8, &bits, 2);
  }
  return i;
}

template <class T>
LIMPID_AVX512 std::int64_t backward_wide(const std::uint8_t* mask, const T* dy, const T* more, T* dx, std::int64_t n, ReluRule rule) {
  const __m512 zero = _mm512_setzero_ps();
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    std::uint16_t bits;
    std::memcpy(&bits, mask + i / 8, 2);
    __m512 gradient = load16(dy + i);
    if (more) gradient = _mm512_add_ps(gradient, load16(more + i));
    __mmask16 pass = bits;
    if (rule == ReluRule::guided) pass = _mm512_mask_cmp_ps_mask(pass, gradient, zero, _CMP_GT_OQ);
    store16(dx + i, _mm512_maskz_mov_ps(pass, gradient));
  }
  return i;
}
#else
template <class T> std::int64_t mask_wide(const T*, std::uint8_t*, std::int64_t, Activation) { return 0; }
template <class T> std::int64_t backward_wide(const std::uint8_t*, const T*, const T*, T*, std::int64_t, ReluRule) { return 0; }
#endif

template <class T>
void make_mask(const T* y, std::uint8_t* mask, std::int64_t n, Activation kind) {
  in_blocks(n, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t done = begin + (has_avx512() ? mask_wide(y + begin, mask + begin / 8, end - begin, kind) : 0);
    mask_block(y + done, mask + done / 8, end - done, kind);
  });
}

template <class T>
void go_back(const std::uint8_t* mask, const T* dy, const T* more, T* dx, std::int64_t n, ReluRule rule) {
  in_blocks(n, [&](std::int64_t begin, std::int64_t end) {
    const T* second = more ? more + begin : nullptr;
    const std::int64_t done = has_avx512() ? backward_wide(mask + begin / 8, dy + begin, second, dx + begin, end - begin, rule) : 0;
    const std::int64_t from = begin + done;
    backward_block(mask + from / 8, dy + from, more ? more + from : nullptr, dx + from, end - from, rule);
  });
}

}  // namespace

void relu_mask(const void* y, std::uint8_t* mask, bool narrow, std::int64_t n, Activation kind) {
  if (narrow) make_mask(static_cast<const bfloat16*>(y), mask, n, kind);
  else make_mask(static_cast<const float*>(y), mask, n, kind);
}

void masked_backward(const std::uint8_t* mask, const void* dy, const void* more, void* dx, bool narrow, std::int64_t n, ReluRule rule) {
  if (narrow) go_back(mask, static_cast<const bfloat16*>(dy), static_cast<const bfloat16*>(more), static_cast<bfloat16*>(dx), n, rule);
  else go_back(mask, static_cast<const float*>(dy), static_cast<const float*>(more), static_cast<float*>(dx), n, rule);
}

}  // namespace limpid::cpu::kernels
