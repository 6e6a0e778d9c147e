#pragma once
// AVX-512 where the compiler has its intrinsics: code for it is marked LIMPID_AVX512 and called if has_avx512(). Elsewhere neither macro nor loads exist.
#include <limpid/runtime/dtype.h>

#if defined(__x86_64__) && defined(__GNUC__)
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12 is wrong about its own intrinsics
#endif
#include <immintrin.h>
#define LIMPID_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#endif

namespace limpid::cpu::kernels {

#ifdef LIMPID_AVX512
inline bool has_avx512() {
  static const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return has;
}

/// 16 bf16 as f32.
LIMPID_AVX512 inline __m512 widen(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }
LIMPID_AVX512 inline __m512 load16(const float* p) { return _mm512_loadu_ps(p); }
LIMPID_AVX512 inline __m512 load16(const bfloat16* p) { return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
LIMPID_AVX512 inline void store16(float* p, __m512 v) { _mm512_storeu_ps(p, v); }
LIMPID_AVX512 inline void store16(bfloat16* p, __m512 v) {  // to the nearest, ties to even; a NaN stays one
  const __m512i u = _mm512_castps_si512(v), odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  const __m512i bits = _mm512_mask_or_epi32(rounded, nan, _mm512_srli_epi32(u, 16), _mm512_set1_epi32(0x40));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(bits));
}
#else
constexpr bool has_avx512() { return false; }
#endif

}  // namespace limpid::cpu::kernels
