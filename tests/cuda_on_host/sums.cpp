#include "sums.h"

#include "on_host.h"

#include <cstring>

namespace limpid::cuda::on_host {
namespace {

using Vector = float __attribute__((vector_size(4 * lanes)));
using Loose = float __attribute__((vector_size(4 * lanes), aligned(4), may_alias));

/// R rows of a times C rows of b.
template <int R, int C>
__attribute__((always_inline)) inline void block(const float* a, const float* b, float* c, std::int64_t stride, std::int64_t length, bool reversed) {
  Vector sums[R][C] = {};
  for (std::int64_t i = 0; i < length; i += lanes) {
    const std::int64_t at = reversed ? length - lanes - i : i;
    Vector left[R];
    for (int r = 0; r < R; ++r) left[r] = *reinterpret_cast<const Loose*>(a + r * length + at);
    for (int k = 0; k < C; ++k) {
      const Vector right = *reinterpret_cast<const Loose*>(b + k * length + at);
      for (int r = 0; r < R; ++r) sums[r][k] += left[r] * right;
    }
  }
  for (int r = 0; r < R; ++r)
    for (int k = 0; k < C; ++k) {
      float sum = 0;
      for (int l = 0; l < lanes; ++l) sum += sums[r][k][reversed ? lanes - 1 - l : l];
      c[r * stride + k] = sum;
    }
}

template <int R>
__attribute__((always_inline)) inline void stripe(const float* a, const float* b, float* c, std::int64_t columns, std::int64_t length, bool reversed) {
  std::int64_t j = 0;
  for (; j + 4 <= columns; j += 4) block<R, 4>(a, b + j * length, c + j, columns, length, reversed);
  for (; j < columns; ++j) block<R, 1>(a, b + j * length, c + j, columns, length, reversed);
}

}  // namespace

#if defined(__x86_64__) && !defined(__clang__)
__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
void products(const float* a, const float* b, float* c, std::int64_t rows, std::int64_t columns, std::int64_t length, bool reversed) {
  std::int64_t i = 0;
  for (; i + 4 <= rows; i += 4) stripe<4>(a + i * length, b, c + i * columns, columns, length, reversed);
  for (; i < rows; ++i) stripe<1>(a + i * length, b, c + i * columns, columns, length, reversed);
}

void convert(const void* from, DType type, std::size_t n, bool tf32, float* to) {
  if (type == DType::f32) std::memcpy(to, from, n * sizeof(float));
  else if (type == DType::bf16)
    for (std::size_t i = 0; i < n; ++i) to[i] = static_cast<const bfloat16*>(from)[i];
  else
    for (std::size_t i = 0; i < n; ++i) to[i] = static_cast<const float16*>(from)[i];
  if (!tf32) return;
  for (std::size_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(to[i]);
    if ((bits & 0x7f800000u) != 0x7f800000u) to[i] = std::bit_cast<float>((bits + 0x1000u) & 0xffffe000u);
  }
}

namespace {
constexpr std::byte poison_byte(const void* p) { return static_cast<std::byte>(reinterpret_cast<std::uintptr_t>(p) & 1 ? poison >> 8 : poison & 0xff); }
constexpr std::uint64_t poison_word = poison * 0x0001000100010001u;
using Word = std::uint64_t __attribute__((may_alias));
}  // namespace

void fill_with_poison(void* p, std::size_t bytes) {
  auto *at = static_cast<std::byte*>(p), *end = at + bytes;
  for (; at < end && reinterpret_cast<std::uintptr_t>(at) % 8; ++at) *at = poison_byte(at);
  auto* words = reinterpret_cast<Word*>(at);
  for (; at + 8 <= end; at += 8) *words++ = poison_word;
  for (; at < end; ++at) *at = poison_byte(at);
}

const std::byte* not_poison(const std::byte* from, const std::byte* to) {
  std::uint64_t differ = 0;
  const std::byte* at = from;
  for (; at < to && reinterpret_cast<std::uintptr_t>(at) % 8; ++at) differ |= *at != poison_byte(at);
  const auto* words = reinterpret_cast<const Word*>(at);
  const std::ptrdiff_t count = (to - at) / 8;
  for (std::ptrdiff_t i = 0; i < count; ++i) differ |= words[i] ^ poison_word;
  for (at += 8 * count; at < to; ++at) differ |= *at != poison_byte(at);
  if (!differ) return nullptr;
  for (at = from; at < to; ++at)
    if (*at != poison_byte(at)) return at;
  return nullptr;
}

}  // namespace limpid::cuda::on_host
