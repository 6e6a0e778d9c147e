#pragma once
// What the AMX kernels are made of: blocks of 32 by 32 sums in the tiles, and what follows a sum. For the sources that hold the kernels; what calls
// it must be compiled for the same instructions. LIMPID_AMX is not defined where the compiler or the processor's kind lacks it.
#include <limpid/cpu/amx.h>
#include <limpid/cpu/avx512.h>

#include <algorithm>
#include <cstring>
#include <span>

namespace limpid::cpu::amx {

constexpr std::int64_t block = 32;  // points and outs that a worker sums at a time, channels of a tile: two tiles by two

/// Bytes of L2 that a worker may count on.
constexpr std::int64_t cache = 1 << 20;

/// Elements from point to point of a copy: an odd number of lines where there are several, else all points would lie in a few sets of the cache.
constexpr std::int64_t pitch_for(std::int64_t elements) { return elements >= 128 && elements % 64 == 0 ? elements + 32 : elements; }
/// Points that are split at a time, so that they stay in L2 for all outs.
constexpr std::int64_t panel_for(std::int64_t pitch) { return std::clamp<std::int64_t>(cache * 3 / 4 / pitch / block * block, block, 512); }

inline std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Two tiles of weights, of 32 channels k by 32 outs n each, pairs of channels side by side: of the numbers w(k, n) their part `part` of `parts`.
template <int parts, class W>
float* arrange_tiles(float* at, int part, W w) {
  for (std::int64_t half = 0; half < 2; ++half)
    for (std::int64_t pair = 0; pair < 16; ++pair)
      for (std::int64_t n = 0; n < 16; ++n)
        for (std::int64_t i = 0; i < 2; ++i) {
          float rest = w(2 * pair + i, 16 * half + n);
          for (int before = 0; before < part; ++before) rest -= static_cast<float>(bfloat16(rest));
          *at++ = parts == 1 ? rest : static_cast<float>(bfloat16(rest));
        }
  return at;
}

}  // namespace limpid::cpu::amx

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define LIMPID_AMX 1
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")

namespace limpid::cpu::amx {
namespace {

/// Tiles of 16 rows of 64 bytes: 0 to 3 sums, 4 and 5 points, 6 and 7 weights. The state is each thread's own.
struct TileState {
  TileState() {
    alignas(64) static constexpr unsigned char config[64] = {1,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0,  // palette 1
                                                             64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0,  // bytes a row
                                                             0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0,
                                                             16, 16, 16, 16, 16, 16, 16, 16};  // rows
    _tile_loadconfig(config);  // a constant: to g++ 12 this reads eight bytes only, and writes of the others would be dropped
  }
  ~TileState() { _tile_release(); }
};

/// The vector units sleep after some 2000 cycles of tile instructions alone, and storing a tile then takes 900 cycles more (seen on Sapphire Rapids:
/// 36 steps of sum_block 3.7 TFLOP/s a core with this, 2.6 without). One addition a step that nobody reads keeps them awake.
inline void stay_awake() {
  const __m512 zero = _mm512_setzero_ps();
  __m512 sum;
  asm volatile("vaddps %1, %1, %0" : "=v"(sum) : "v"(zero));
}

/// Where the points of a tap lie, and its weights, from the first.
struct Source { std::int64_t points, weights; };

template <bool both>
[[gnu::always_inline]] inline void load_points(const bfloat16* from, std::int64_t pitch) {
  _tile_loadd(4, from, pitch * 2);
  if constexpr (both) _tile_loadd(5, from + 16 * pitch, pitch * 2);
}

[[gnu::always_inline]] inline void load_weights(const bfloat16* from) {
  _tile_loadd(6, from, 64);
  _tile_loadd(7, from + 512, 64);
}

template <bool both>
[[gnu::always_inline]] inline void add_products() {
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  if constexpr (both) {
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

/// 32 points (or 16) by 32 outs. `between` runs once a step: what it does with the vector units costs little beside the tiles.
template <int parts, bool both, class Between>
[[gnu::always_inline]] inline void sum_block(const bfloat16* a, std::int64_t pitch, const bfloat16* w, std::int64_t channel_weights, std::span<const Source> taps, std::int64_t channels, float* sums,
                                             Between between) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::int64_t c = 0; c < channels; c += block, a += block, w += channel_weights)
    for (const Source& tap : taps) {
      const bfloat16 *points = a + tap.points, *weights = w + tap.weights;
      if constexpr (parts == 1) {
        load_weights(weights);
        load_points<both>(points, pitch);
        add_products<both>();
        between();
      } else {  // parts (2, 0), (1, 0), (1, 1), (0, 1), (0, 0), (0, 2): each step loads one side anew
        for (int step = 0; step < 6; ++step) {
          if (step == 0 || step == 1 || step == 3) load_points<both>(points + (step == 0 ? 2 : step == 1 ? 1 : 0) * channels, pitch);
          if (step == 0 || step == 2 || step == 4 || step == 5) load_weights(weights + (step == 2 ? 1 : step == 5 ? 2 : 0) * block * block);
          add_products<both>();
          between();
        }
      }
    }
  _tile_stored(0, sums, 128);
  _tile_stored(1, sums + 16, 128);
  if constexpr (both) {
    _tile_stored(2, sums + 16 * 32, 128);
    _tile_stored(3, sums + 16 * 32 + 16, 128);
  }
}

/// 32 numbers rounded to bf16; they become what that leaves (nothing, of what is not finite).
inline __m512i split(__m512& low, __m512& high) {
  const auto rounded = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
  const __m512 a = kernels::widen(_mm512_castsi512_si256(rounded)), b = kernels::widen(_mm512_extracti64x4_epi64(rounded, 1));
  constexpr int not_finite = 0x99;
  low = _mm512_maskz_sub_ps(static_cast<__mmask16>(~_mm512_fpclass_ps_mask(a, not_finite)), low, a);
  high = _mm512_maskz_sub_ps(static_cast<__mmask16>(~_mm512_fpclass_ps_mask(b, not_finite)), high, b);
  return rounded;
}

/// `count` points of a picture, `step` apart, to every `pitch`-th place. bf16: channels side by side.
inline void copy_line(const bfloat16* picture, std::int64_t, std::int64_t first, std::int64_t count, std::int64_t step, std::int64_t channels, bfloat16* to, std::int64_t pitch) {
  const bfloat16* from = picture + first * channels;
  for (std::int64_t i = 0; i < count; ++i, from += step * channels, to += pitch)
    for (std::int64_t c = 0; c < channels; c += 32) _mm512_store_si512(to + c, _mm512_loadu_si512(from + c));
}

/// `count` points, `point_step` apart, of f32 in blocks of 16 channels, `block_step` apart: each number becomes a sum of three bf16, which lie `channels` apart.
inline void split_line(const float* x, std::int64_t count, std::int64_t point_step, std::int64_t block_step, std::int64_t channels, bfloat16* to, std::int64_t pitch) {
  for (std::int64_t c = 0; c < channels; c += 32) {
    const float* from = x + c / 16 * block_step;
    bfloat16* at = to + c;
    for (std::int64_t i = 0; i < count; ++i, from += point_step, at += pitch) {
      __m512 low = _mm512_loadu_ps(from), high = _mm512_loadu_ps(from + block_step);
      _mm512_store_si512(at, split(low, high));
      _mm512_store_si512(at + channels, split(low, high));
      _mm512_store_si512(at + 2 * channels, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
    }
  }
}

/// The same of a picture of `area` points.
inline void copy_line(const float* picture, std::int64_t area, std::int64_t first, std::int64_t count, std::int64_t step, std::int64_t channels, bfloat16* to, std::int64_t pitch) {
  split_line(picture + first * 16, count, step * 16, area * 16, channels, to, pitch);
}

/// Where points that lie one behind the other in a copy belong in y: a column's pictures, then the next column's, then the next row's.
struct Places {
  static constexpr std::int64_t many = std::int64_t{1} << 40;
  std::int64_t at, picture_step, column_step, pictures, picture = 0, column = 0, columns = many, all_columns = many, row_step = 0;
  bool real() const { return column < columns; }  // not zeros beside a row
  void next() {
    at += picture_step;
    if (++picture < pictures) return;
    picture = 0, at += column_step - pictures * picture_step;
    if (++column == all_columns) column = 0, at += row_step - all_columns * column_step;
  }
};

/// What follows a block's sums, in portions, while the tiles sum the next block.
template <class T>
class Finisher {
 public:
  /// out_step: elements of y from 16 outs to the next 16.
  Finisher(const Epilogue<T>& e, T* y, std::int64_t out_step) : e_(e), y_(y), out_step_(out_step), most_(_mm512_set1_epi16(e.activation == Activation::relu6 ? 0x40c0 : 0x7f81)) {}

  std::int64_t out_step() const { return out_step_; }
  void begin(const float* sums, const Places& places, std::int64_t points, std::int64_t out) {
    sums_ = sums, places_ = places, left_ = points;
    for (int i = 0; i < 2; ++i) bias_[i] = e_.bias ? _mm512_loadu_ps(e_.bias + out + 16 * i) : _mm512_setzero_ps();
  }
  [[gnu::always_inline]] void some(std::int64_t count) {
    for (std::int64_t i = std::min(count, left_); i > 0; --i, --left_, sums_ += block, places_.next())
      if (places_.real()) point(sums_, places_.at);
  }
  void rest() { some(block); }
  /// Asks for what will be read.
  void fetch(Places p, std::int64_t points) const {
    if (!e_.addend && !e_.unit) return;
    for (std::int64_t point = 0; point < points; ++point, p.next()) {
      if (!p.real()) continue;
      for (std::int64_t i = 0; i < (parts == 1 ? 1 : 2); ++i) {
        if (e_.addend) _mm_prefetch(e_.addend + p.at + i * out_step_, _MM_HINT_T0);
        if (e_.unit) _mm_prefetch(e_.unit + p.at + i * out_step_, _MM_HINT_T0);
      }
    }
  }

 private:
  static constexpr int parts = parts_of<T>;
  [[gnu::always_inline]] void point(const float* sums, std::int64_t at) const {
    const __m512 low = finish(sums, at, bias_[0]), high = finish(sums + 16, at + out_step_, bias_[1]);
    if constexpr (parts == 1) {
      const auto rounded = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
      _mm512_storeu_si512(y_ + at, rounded);
      if (!e_.active) return;
      const __mmask32 bits = _mm512_mask_cmplt_epi16_mask(_mm512_cmpgt_epi16_mask(rounded, _mm512_setzero_si512()), rounded, most_);
      std::memcpy(e_.active + at / 8, &bits, sizeof bits);
    } else {
      _mm512_storeu_ps(y_ + at, low);
      _mm512_storeu_ps(y_ + at + out_step_, high);
      if (!e_.active) return;
      mark(low, at);
      mark(high, at + out_step_);
    }
  }
  void mark(__m512 v, std::int64_t at) const {
    __mmask16 bits = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_GT_OQ);
    if (e_.activation == Activation::relu6) bits = _mm512_mask_cmp_ps_mask(bits, v, _mm512_set1_ps(6), _CMP_LT_OQ);
    std::memcpy(e_.active + at / 8, &bits, sizeof bits);
  }
  /// Of 16 outs.
  [[gnu::always_inline]] __m512 finish(const float* sums, std::int64_t at, __m512 bias) const {
    const __m512 zero = _mm512_setzero_ps(), six = _mm512_set1_ps(6);
    __m512 v = _mm512_add_ps(_mm512_load_ps(sums), bias);
    if (e_.addend) v = _mm512_add_ps(v, kernels::load16(e_.addend + at));
    if (e_.activation != Activation::none) v = _mm512_max_ps(zero, v);  // of a NaN and zero, the second: a NaN stays
    if (e_.activation == Activation::relu6) v = _mm512_min_ps(six, v);
    if (!e_.unit && !e_.mask) return v;
    __mmask16 pass = 0xffff;
    if (e_.rule != ReluRule::deconvolution && e_.mask) {
      pass = *reinterpret_cast<const std::uint16_t*>(e_.mask + at / 8);
    } else if (e_.rule != ReluRule::deconvolution) {
      const __m512 unit = kernels::load16(e_.unit + at);
      pass = _mm512_cmp_ps_mask(unit, zero, _CMP_GT_OQ);
      if (e_.unit_kind == Activation::relu6) pass = _mm512_mask_cmp_ps_mask(pass, unit, six, _CMP_LT_OQ);
    }
    if (e_.rule != ReluRule::plain) pass = _mm512_mask_cmp_ps_mask(pass, v, zero, _CMP_GT_OQ);
    return _mm512_maskz_mov_ps(pass, v);
  }

  const Epilogue<T> e_;
  T* y_;
  std::int64_t out_step_;
  __m512i most_;  // as bf16: six, or behind infinity; positive ones lie as integers do
  __m512 bias_[2];
  const float* sums_ = nullptr;
  Places places_{};
  std::int64_t left_ = 0;
};

/// A block of sums into `sums`, while the one before is finished. The finisher must stay in registers: hence apart from the sums, whose address is known outside.
template <int parts, class Pending>
[[gnu::always_inline]] inline void block_of(Pending& finisher, float* sums, const bfloat16* a, std::int64_t pitch, std::int64_t points, const bfloat16* w, std::int64_t channel_weights,
                                            std::span<const Source> taps, std::int64_t channels, Places places, std::int64_t out) {
  places.at += out / 16 * finisher.out_step();
  finisher.fetch(places, points);
  const std::int64_t steps = static_cast<std::int64_t>(taps.size()) * (channels / block) * (parts == 1 ? 1 : 6), portion = steps > 0 ? divide_up(block, steps) : block;
  const auto between = [&] {
    finisher.some(portion);
    stay_awake();
  };
  if (points > 16) sum_block<parts, true>(a, pitch, w, channel_weights, taps, channels, sums, between);
  else sum_block<parts, false>(a, pitch, w, channel_weights, taps, channels, sums, between);
  finisher.rest();
  finisher.begin(sums, places, points, out);
}

}  // namespace
}  // namespace limpid::cpu::amx

#pragma GCC pop_options
#endif
