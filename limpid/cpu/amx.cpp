#include <limpid/cpu/amx.h>
#include <limpid/runtime/parallel.h>

#include <algorithm>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define LIMPID_AMX 1
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace limpid::cpu::amx {
namespace {

constexpr std::int64_t block = 32;        // points and outs that a worker sums at a time: two tiles by two
constexpr std::int64_t channel_block = 64;  // channels whose taps are read together, so that a picture's lines stay in L1

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t modulo(std::int64_t a, std::int64_t b) { return (a % b + b) % b; }

/// Tap `kernel` of an axis, as a point of a plane.
struct AxisTap { std::int64_t kernel, plane, shift; };

/// One axis: the taps of each phase of the result, and how far apart rows (or columns) of the copy must lie for all to read zeros outside.
struct Reach {
  Reach(const Axis& a, std::int64_t in, std::int64_t out, bool backward) : in_stride(backward ? 1 : a.stride), out_stride(backward ? a.stride : 1) {
    for (std::int64_t phase = 0; phase < out_stride; ++phase) {
      const std::int64_t points = out > phase ? divide_up(out - phase, out_stride) : 0;
      std::vector<AxisTap> taps;
      for (std::int64_t k = 0; k < a.kernel && points > 0; ++k) {
        const std::int64_t d = backward ? phase + a.begin - k * a.dilation : k * a.dilation - a.begin;
        if (backward && modulo(d, out_stride)) continue;
        const std::int64_t at = backward ? d / out_stride : d, plane = modulo(at, in_stride);
        taps.push_back({k, plane, (at - plane) / in_stride});
        before = std::max(before, -taps.back().shift);
        pitch = std::max(pitch, points + taps.back().shift);
      }
      pitch = std::max(pitch, points);
      phases.push_back(std::move(taps));
      counts.push_back(points);
    }
    pitch = std::max(pitch, divide_up(in, in_stride) + before);
  }
  std::int64_t in_stride, out_stride, before = 0, pitch = 0;
  std::vector<std::vector<AxisTap>> phases;
  std::vector<std::int64_t> counts;
};

}  // namespace

Convolution::Convolution(const Sizes& sizes, const Axis& rows, const Axis& columns, bool backward, int workers)
    : s_(sizes), backward_(backward), workers_(std::max(workers, 1)), kernel_rows_(rows.kernel), kernel_columns_(columns.kernel) {
  const Reach down(rows, s_.in_rows, s_.out_rows, backward), across(columns, s_.in_columns, s_.out_columns, backward);
  in_row_stride_ = down.in_stride, in_column_stride_ = across.in_stride, out_row_stride_ = down.out_stride, out_column_stride_ = across.out_stride;
  pitch_rows_ = down.pitch, pitch_columns_ = across.pitch;
  lead_ = down.before * pitch_columns_ + across.before;
  std::int64_t furthest = 0, count = 0;
  for (std::size_t py = 0; py < down.phases.size(); ++py)
    for (std::size_t px = 0; px < across.phases.size(); ++px) {
      Part part{static_cast<std::int64_t>(py), static_cast<std::int64_t>(px), down.counts[py], across.counts[px], count, {}, {}};
      if (part.rows * part.columns == 0) continue;
      for (const AxisTap& y : down.phases[py])
        for (const AxisTap& x : across.phases[px]) {
          const std::pair plane{y.plane, x.plane};
          const auto known = std::find(planes_.begin(), planes_.end(), plane);
          const std::int64_t offset = lead_ + y.shift * pitch_columns_ + x.shift;
          part.taps.push_back({y.kernel, x.kernel, known - planes_.begin(), offset});
          if (known == planes_.end()) planes_.push_back(plane);
          furthest = std::max(furthest, offset);
        }
      count += static_cast<std::int64_t>(part.taps.size()) * s_.channels * s_.outs;
      place_points(part);
      parts_.push_back(std::move(part));
    }
  copies_ = lead_ > 0 || furthest > 0 || in_row_stride_ > 1 || in_column_stride_ > 1 || pitch_rows_ != s_.in_rows || pitch_columns_ != s_.in_columns;
  trail_ = furthest - lead_ + block;
  pitch_ = s_.channels + (copies_ ? 32 : 0);  // off the powers of two, which would put all points into a few sets of the cache
  const std::int64_t share = divide_up(s_.pictures, workers_);
  // Many weights: each worker keeps some of the outs, for all pictures. So too when pictures do not deal evenly.
  by_outs_ = count * 2 > cache || share * workers_ * 4 > s_.pictures * 5;
  const std::int64_t fitting = std::max<std::int64_t>(1, cache / 2 / (pitch_rows_ * pitch_columns_ * pitch_ * 2 * static_cast<std::int64_t>(std::max<std::size_t>(1, planes_.size()))));
  group_ = by_outs_ ? s_.pictures : divide_up(share, divide_up(share, fitting));
}

/// A picture's points, and as many of the next one's as a block may reach.
void Convolution::place_points(Part& part) const {
  const std::int64_t area = pitch_rows_ * pitch_columns_;
  for (std::int64_t i = 0; i < area + block - 1; ++i) {
    const std::int64_t picture = i / area, row = i % area / pitch_columns_, column = i % pitch_columns_;
    const bool real = row < part.rows && column < part.columns;
    const std::int64_t point = (picture * s_.out_rows + row * out_row_stride_ + part.row_phase) * s_.out_columns + column * out_column_stride_ + part.column_phase;
    part.places.push_back(real ? static_cast<std::int32_t>(point * s_.outs) : -1);
  }
}

std::int64_t Convolution::weight_count() const {
  std::int64_t taps = 0;
  for (const Part& p : parts_) taps += static_cast<std::int64_t>(p.taps.size());
  return taps * s_.channels * s_.outs;
}

void Convolution::arrange(const float* w, float* to) const {
  const std::int64_t taps = kernel_rows_ * kernel_columns_;
  for (const Part& part : parts_)
    parallel_for(s_.outs / block, [&](std::int64_t j) {
      float* at = to + part.weights + j * block * s_.channels * static_cast<std::int64_t>(part.taps.size());
      for (std::int64_t c0 = 0; c0 < s_.channels; c0 += channel_block)
        for (const Tap& tap : part.taps)
          for (std::int64_t c = c0; c < std::min(c0 + channel_block, s_.channels); c += 32)
            for (std::int64_t half = 0; half < 2; ++half)
              for (std::int64_t pair = 0; pair < 16; ++pair)
                for (std::int64_t n = 0; n < 16; ++n)
                  for (std::int64_t i = 0; i < 2; ++i) {
                    const std::int64_t channel = c + 2 * pair + i, out = j * block + 16 * half + n;
                    *at++ = w[(backward_ ? channel * s_.outs + out : out * s_.channels + channel) * taps + tap.row * kernel_columns_ + tap.column];
                  }
    });
}

std::size_t Convolution::scratch_bytes() const {
  const std::int64_t copies = copies_ ? (by_outs_ ? 1 : workers_) * static_cast<std::int64_t>(planes_.size()) * plane_points(group_) * pitch_ : 0;
  return static_cast<std::size_t>((copies + workers_ * block * pitch_) * 2);  // and a tail a worker
}

#ifdef LIMPID_AMX

bool available() {
  static const bool granted = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
    constexpr unsigned bf16_tiles = 1u << 22, tiles = 1u << 24;
    if ((d & bf16_tiles) == 0 || (d & tiles) == 0 || !__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512bw")) return false;
    constexpr long ask_for_state = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, ask_for_state, tile_data) == 0;
  }();
  return granted;
}

#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")

namespace {

/// Tiles of 16 rows of 64 bytes: 0 to 3 sums, 4 and 5 points, 6 and 7 weights. The state is each thread's own.
struct TileState {
  TileState() {
    alignas(64) unsigned char config[64] = {1};
    for (int t = 0; t < 8; ++t) config[16 + 2 * t] = 64, config[48 + t] = 16;
    _tile_loadconfig(config);
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

/// 32 points (or 16) by 32 outs. `between` runs once a step: what it does with the vector units costs little beside the tiles.
template <bool both, class Between>
inline void sum_block(const bfloat16* a, const std::int64_t* offsets, std::int64_t taps, std::int64_t channels, std::int64_t pitch, const bfloat16* w, float* sums, Between between) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  const std::int64_t stride = pitch * 2;
  for (std::int64_t c0 = 0; c0 < channels; c0 += channel_block) {
    const std::int64_t c1 = std::min(c0 + channel_block, channels);
    for (std::int64_t t = 0; t < taps; ++t) {
      const bfloat16* at = a + offsets[t];
      for (std::int64_t c = c0; c < c1; c += 32, w += 1024) {
        _tile_loadd(6, w, 64);
        _tile_loadd(4, at + c, stride);
        _tile_loadd(7, w + 512, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if constexpr (both) {
          _tile_loadd(5, at + c + 16 * pitch, stride);
          _tile_dpbf16ps(2, 5, 6);
          _tile_dpbf16ps(3, 5, 7);
        }
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

inline void copy_point(bfloat16* to, const bfloat16* from, std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; c += 32) _mm512_store_si512(to + c, _mm512_loadu_si512(from + c));
}

inline __m512 widen(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }

/// What follows a block's sums, in portions, while the tiles sum the next block.
class Finisher {
 public:
  Finisher(const Convolution::Epilogue& e, bfloat16* y) : e_(e), y_(y), most_(_mm512_set1_epi16(e.activation == Activation::relu6 ? 0x40c0 : 0x7f81)) {}

  /// The block's points lie in y at base + places; -1: zeros between rows or pictures.
  void begin(const float* sums, const std::int32_t* places, std::int64_t base, std::int64_t points, std::int64_t out) {
    sums_ = sums, places_ = places, base_ = base, points_ = points, next_ = 0;
    for (int i = 0; i < 2; ++i) bias_[i] = e_.bias ? _mm512_loadu_ps(e_.bias + out + 16 * i) : _mm512_setzero_ps();
  }
  void some(std::int64_t count) {
    const std::int64_t end = std::min(next_ + count, points_);
    for (; next_ < end; ++next_)
      if (places_[next_] >= 0) point(sums_ + next_ * block, base_ + places_[next_]);
  }
  void rest() { some(block); }

 private:
  void point(const float* sums, std::int64_t at) const {
    const __m512 low = finish(sums, at, bias_[0]), high = finish(sums + 16, at + 16, bias_[1]);
    const auto rounded = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
    _mm512_storeu_si512(y_ + at, rounded);
    if (!e_.active) return;
    const __mmask32 bits = _mm512_mask_cmplt_epi16_mask(_mm512_cmpgt_epi16_mask(rounded, _mm512_setzero_si512()), rounded, most_);
    std::memcpy(e_.active + at / 8, &bits, sizeof bits);
  }
  /// Of 16 outs.
  __m512 finish(const float* sums, std::int64_t at, __m512 bias) const {
    const __m512 zero = _mm512_setzero_ps(), six = _mm512_set1_ps(6);
    __m512 v = _mm512_add_ps(_mm512_load_ps(sums), bias);
    if (e_.addend) v = _mm512_add_ps(v, widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(e_.addend + at))));
    if (e_.activation != Activation::none) v = _mm512_max_ps(zero, v);  // of a NaN and zero, the second: a NaN stays
    if (e_.activation == Activation::relu6) v = _mm512_min_ps(six, v);
    if (!e_.unit && !e_.mask) return v;
    __mmask16 pass = 0xffff;
    if (e_.rule != ReluRule::deconvolution && e_.mask) {
      pass = *reinterpret_cast<const std::uint16_t*>(e_.mask + at / 8);
    } else if (e_.rule != ReluRule::deconvolution) {
      const __m512 unit = widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(e_.unit + at)));
      pass = _mm512_cmp_ps_mask(unit, zero, _CMP_GT_OQ);
      if (e_.unit_kind == Activation::relu6) pass = _mm512_mask_cmp_ps_mask(pass, unit, six, _CMP_LT_OQ);
    }
    if (e_.rule != ReluRule::plain) pass = _mm512_mask_cmp_ps_mask(pass, v, zero, _CMP_GT_OQ);
    return _mm512_maskz_mov_ps(pass, v);
  }

  const Convolution::Epilogue& e_;
  bfloat16* y_;
  __m512i most_;  // as bf16: six, or behind infinity; positive ones lie as integers do
  __m512 bias_[2];
  const float* sums_ = nullptr;
  const std::int32_t* places_ = nullptr;
  std::int64_t base_ = 0, points_ = 0, next_ = 0;
};

}  // namespace

/// Pictures [first, first + pictures) into planes of a copy; zeros around them.
void Convolution::copy(const bfloat16* x, bfloat16* to, std::int64_t first, std::int64_t begin, std::int64_t end, std::int64_t held) const {
  const auto clear = [&](bfloat16* at, std::int64_t points) { std::memset(static_cast<void*>(at), 0, static_cast<std::size_t>(points * pitch_ * 2)); };
  for (std::size_t p = 0; p < planes_.size(); ++p) {
    bfloat16* plane = to + static_cast<std::int64_t>(p) * plane_points(held) * pitch_;
    if (begin == 0) clear(plane, lead_);
    const auto [fy, fx] = planes_[p];
    for (std::int64_t picture = begin; picture < end; ++picture)
      for (std::int64_t row = 0; row < pitch_rows_; ++row) {
        bfloat16* line = plane + (lead_ + (picture * pitch_rows_ + row) * pitch_columns_) * pitch_;
        const std::int64_t y = row * in_row_stride_ + fy;
        if (y >= s_.in_rows) {
          clear(line, pitch_columns_);
          continue;
        }
        const bfloat16* from = x + ((first + picture) * s_.in_rows + y) * s_.in_columns * s_.channels;
        std::int64_t column = 0;
        for (std::int64_t at = fx; at < s_.in_columns; at += in_column_stride_, ++column) copy_point(line + column * pitch_, from + at * s_.channels, s_.channels);
        clear(line + column * pitch_, pitch_columns_ - column);
      }
  }
}

void Convolution::multiply(const bfloat16* a, std::int64_t held, std::int64_t first_picture, std::int64_t begin, std::int64_t end, std::int64_t first_block, std::int64_t last_block,
                           const bfloat16* weights, bfloat16* y, bfloat16* tail, const Epilogue& e) const {
  const TileState tiles;
  alignas(64) float sums[2][block * block];  // of the block that is summed and of the one that is finished
  int turn = 0;
  Finisher finisher(e, y);
  const std::int64_t plane = plane_points(held) * pitch_, in_all = s_.pictures * s_.in_rows * s_.in_columns, area = pitch_rows_ * pitch_columns_;
  const std::int64_t out_size = s_.out_rows * s_.out_columns * s_.outs;
  std::int64_t offsets[64];
  for (const Part& part : parts_) {
    const auto taps = static_cast<std::int64_t>(part.taps.size());
    for (std::int64_t t = 0; t < taps; ++t) offsets[t] = part.taps[static_cast<std::size_t>(t)].plane * plane + part.taps[static_cast<std::size_t>(t)].offset * pitch_;
    const std::int64_t size = block * s_.channels * taps;  // weights of a block of outs
    const std::int64_t portion = taps > 0 ? divide_up(block, taps * (s_.channels / 32)) : block;
    // All outs of some points at once where the weights stay in L2: what is read and written then lies in a row.
    const std::int64_t together = (last_block - first_block) * size * 2 <= cache / 2 ? last_block - first_block : 1;
    for (std::int64_t j0 = first_block; j0 < last_block; j0 += together) {
      for (std::int64_t m = begin; m < end; m += block) {
        const std::int64_t points = std::min(block, end - m), picture = m / area;
        const std::int32_t* places = part.places.data() + (m - picture * area);
        const std::int64_t base = (first_picture + picture) * out_size;
        const bfloat16* from = a + m * pitch_;
        if (!copies_ && m + block > in_all) {  // the tiles would read past the picture
          std::memcpy(static_cast<void*>(tail), from, static_cast<std::size_t>((in_all - m) * pitch_ * 2));
          from = tail;
        }
        for (std::int64_t j = j0; j < std::min(j0 + together, last_block); ++j) {
          const std::int64_t out = j * block;
          for (std::int64_t i = 0; i < points; ++i)
            if (places[i] >= 0) {
              if (e.addend) _mm_prefetch(e.addend + base + places[i] + out, _MM_HINT_T0);
              if (e.unit) _mm_prefetch(e.unit + base + places[i] + out, _MM_HINT_T0);
            }
          const bfloat16* w = weights + part.weights + j * size;
          const auto between = [&] {
            finisher.some(portion);
            stay_awake();
          };
          if (points > 16) sum_block<true>(from, offsets, taps, s_.channels, pitch_, w, sums[turn], between);
          else sum_block<false>(from, offsets, taps, s_.channels, pitch_, w, sums[turn], between);
          finisher.rest();
          finisher.begin(sums[turn], places, base + out, points, out);
          turn = 1 - turn;
        }
      }
    }
  }
  finisher.rest();
}

#pragma GCC pop_options

#else

bool available() { return false; }
void Convolution::copy(const bfloat16*, bfloat16*, std::int64_t, std::int64_t, std::int64_t, std::int64_t) const {}
void Convolution::multiply(const bfloat16*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, const bfloat16*, bfloat16*, bfloat16*, const Epilogue&) const {}

#endif

void Convolution::run(const bfloat16* x, const bfloat16* weights, bfloat16* y, void* scratch, const Epilogue& epilogue) const {
  bfloat16* const tails = static_cast<bfloat16*>(scratch);
  bfloat16* const copies = tails + workers_ * block * pitch_;
  const std::int64_t blocks = s_.outs / block;
  const auto share = [&](std::int64_t n, std::int64_t worker) { return n * worker / workers_; };
  if (copies_ && by_outs_) parallel_for(workers_, [&](std::int64_t w) { copy(x, copies, 0, share(s_.pictures, w), share(s_.pictures, w + 1), s_.pictures); });
  parallel_for(workers_, [&](std::int64_t w) {
    bfloat16* const tail = tails + w * block * pitch_;
    const std::int64_t points = s_.pictures * pitch_rows_ * pitch_columns_;
    if (by_outs_) return multiply(copies_ ? copies : x, s_.pictures, 0, 0, points, share(blocks, w), share(blocks, w + 1), weights, y, tail, epilogue);
    if (!copies_) {
      const std::int64_t panels = divide_up(points, panel_), last = std::min(points, share(panels, w + 1) * panel_);
      for (std::int64_t p = share(panels, w) * panel_; p < last; p += panel_) multiply(x, s_.pictures, 0, p, std::min(p + panel_, last), 0, blocks, weights, y, tail, epilogue);
      return;
    }
    bfloat16* const own = copies + w * static_cast<std::int64_t>(planes_.size()) * plane_points(group_) * pitch_;
    for (std::int64_t first = share(s_.pictures, w), last = share(s_.pictures, w + 1); first < last; first += group_) {
      const std::int64_t pictures = std::min(group_, last - first);
      copy(x, own, first, 0, pictures, group_);
      multiply(own, group_, first, 0, pictures * pitch_rows_ * pitch_columns_, 0, blocks, weights, y, tail, epilogue);
    }
  });
}

}  // namespace limpid::cpu::amx
