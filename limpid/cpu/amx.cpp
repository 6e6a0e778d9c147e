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

constexpr std::int64_t block = 32;  // points and outs that a worker sums at a time, channels of a tile: two tiles by two

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t modulo(std::int64_t a, std::int64_t b) { return (a % b + b) % b; }

/// Tap `kernel` of an axis: a plane, and the point of it that point 0 of the result sees.
struct AxisTap { std::int64_t kernel, plane, shift; };

/// One axis: the taps of each phase of the result, and how far they see before and behind a plane.
struct Reach {
  Reach(const Axis& a, std::int64_t in, std::int64_t out, bool backward) : in_stride(backward ? 1 : a.stride), out_stride(backward ? a.stride : 1), extent(divide_up(in, in_stride)) {
    std::int64_t last = extent;
    for (std::int64_t phase = 0; phase < out_stride; ++phase) {
      const std::int64_t points = out > phase ? divide_up(out - phase, out_stride) : 0;
      std::vector<AxisTap> taps;
      for (std::int64_t k = 0; k < a.kernel && points > 0; ++k) {
        const std::int64_t d = backward ? phase + a.begin - k * a.dilation : k * a.dilation - a.begin;
        if (backward && modulo(d, out_stride)) continue;
        const std::int64_t at = backward ? d / out_stride : d, plane = modulo(at, in_stride);
        taps.push_back({k, plane, (at - plane) / in_stride});
        before = std::max(before, -taps.back().shift);
        last = std::max(last, points + taps.back().shift);
      }
      phases.push_back(std::move(taps));
      counts.push_back(points);
    }
    after = last - extent;
  }
  std::int64_t in_stride, out_stride, extent, before = 0, after = 0;
  std::vector<std::vector<AxisTap>> phases;
  std::vector<std::int64_t> counts;
};

}  // namespace

Convolution::Convolution(const Sizes& sizes, const Axis& rows, const Axis& columns, bool backward, int workers)
    : s_(sizes), backward_(backward), workers_(std::max(workers, 1)), kernel_rows_(rows.kernel), kernel_columns_(columns.kernel) {
  const Reach down(rows, s_.in_rows, s_.out_rows, backward), across(columns, s_.in_columns, s_.out_columns, backward);
  in_row_stride_ = down.in_stride, in_column_stride_ = across.in_stride, out_row_stride_ = down.out_stride, out_column_stride_ = across.out_stride;
  plane_rows_ = down.extent, plane_columns_ = across.before + across.extent + across.after, before_ = across.before;
  std::int64_t count = 0, most_taps = 0;
  for (std::size_t py = 0; py < down.phases.size(); ++py)
    for (std::size_t px = 0; px < across.phases.size(); ++px) {
      Part part{static_cast<std::int64_t>(py), static_cast<std::int64_t>(px), down.counts[py], across.counts[px], count, {}};
      if (part.rows * part.columns == 0) continue;
      for (const AxisTap& y : down.phases[py])
        for (const AxisTap& x : across.phases[px]) {
          const std::pair plane{y.plane, x.plane};
          const auto known = std::find(planes_.begin(), planes_.end(), plane);
          part.taps.push_back({y.kernel, x.kernel, known - planes_.begin(), y.shift, before_ + x.shift});
          if (known == planes_.end()) planes_.push_back(plane);
        }
      most_taps = std::max(most_taps, static_cast<std::int64_t>(part.taps.size()));
      count += static_cast<std::int64_t>(part.taps.size()) * s_.channels * s_.outs;
      parts_.push_back(std::move(part));
    }
  copies_ = parts_.size() != 1 || parts_[0].taps.size() != 1 || in_row_stride_ > 1 || in_column_stride_ > 1 || before_ > 0 || plane_columns_ != s_.in_columns || s_.out_rows != s_.in_rows;
  pitch_ = s_.channels + (copies_ && s_.channels >= 128 ? 32 : 0);  // off the powers of two, which would put all points into a few sets of the cache
  const std::int64_t share = divide_up(s_.pictures, workers_), picture_bytes = 2 * plane_points(1) * pitch_;
  // Many weights: each worker keeps some of the outs, for all pictures. So too when pictures do not deal evenly.
  by_outs_ = count * 2 > cache || share * workers_ * 4 > s_.pictures * 5;
  group_ = by_outs_ ? std::min<std::int64_t>(s_.pictures, 16) : divide_up(share, divide_up(share, std::clamp<std::int64_t>(cache / picture_bytes, 1, 16)));
  // Few points in a row: all rows are one line, with zeros above and below the picture.
  one_line_ = group_ * s_.out_columns / out_column_stride_ < 64;
  if (one_line_) above_ = down.before, plane_rows_ += down.before + down.after;
  const std::int64_t blocks = by_outs_ ? divide_up(s_.outs / block, workers_) : s_.outs / block;
  together_ = blocks * block * s_.channels * most_taps * 2 <= cache / 2 ? blocks : 1;
}

std::int64_t Convolution::copy_points() const { return copies_ ? plane_points(by_outs_ ? s_.pictures : workers_ * group_) : 0; }

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
      for (std::int64_t c = 0; c < s_.channels; c += block)
        for (const Tap& tap : part.taps)
          for (std::int64_t half = 0; half < 2; ++half)
            for (std::int64_t pair = 0; pair < 16; ++pair)
              for (std::int64_t n = 0; n < 16; ++n)
                for (std::int64_t i = 0; i < 2; ++i) {
                  const std::int64_t channel = c + 2 * pair + i, out = j * block + 16 * half + n;
                  *at++ = w[(backward_ ? channel * s_.outs + out : out * s_.channels + channel) * taps + tap.kernel_row * kernel_columns_ + tap.kernel_column];
                }
    });
}

std::size_t Convolution::scratch_bytes() const {
  return static_cast<std::size_t>((copy_points() + workers_ * block) * pitch_ * 2);  // and a tail a worker
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

/// 32 points (or 16) by 32 outs. `between` runs once a step: what it does with the vector units costs little beside the tiles.
template <bool both, class Between>
[[gnu::always_inline]] inline void sum_block(const bfloat16* a, std::int64_t pitch, const bfloat16* w, std::int64_t channel_weights, std::span<const Source> taps, std::int64_t channels, float* sums, Between between) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  const std::int64_t stride = pitch * 2;
  for (std::int64_t c = 0; c < channels; c += block, a += block, w += channel_weights)
    for (const Source& tap : taps) {
      const bfloat16 *points = a + tap.points, *weights = w + tap.weights;
      _tile_loadd(6, weights, 64);
      _tile_loadd(4, points, stride);
      _tile_loadd(7, weights + 512, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (both) {
        _tile_loadd(5, points + 16 * pitch, stride);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      between();
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
class Finisher {
 public:
  Finisher(const Convolution::Epilogue& e, bfloat16* y) : e_(e), y_(y), most_(_mm512_set1_epi16(e.activation == Activation::relu6 ? 0x40c0 : 0x7f81)) {}

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
    for (std::int64_t i = 0; i < points; ++i, p.next()) {
      if (!p.real()) continue;
      if (e_.addend) _mm_prefetch(e_.addend + p.at, _MM_HINT_T0);
      if (e_.unit) _mm_prefetch(e_.unit + p.at, _MM_HINT_T0);
    }
  }

 private:
  [[gnu::always_inline]] void point(const float* sums, std::int64_t at) const {
    const __m512 low = finish(sums, at, bias_[0]), high = finish(sums + 16, at + 16, bias_[1]);
    const auto rounded = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
    _mm512_storeu_si512(y_ + at, rounded);
    if (!e_.active) return;
    const __mmask32 bits = _mm512_mask_cmplt_epi16_mask(_mm512_cmpgt_epi16_mask(rounded, _mm512_setzero_si512()), rounded, most_);
    std::memcpy(e_.active + at / 8, &bits, sizeof bits);
  }
  /// Of 16 outs.
  [[gnu::always_inline]] __m512 finish(const float* sums, std::int64_t at, __m512 bias) const {
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

  const Convolution::Epilogue e_;
  bfloat16* y_;
  __m512i most_;  // as bf16: six, or behind infinity; positive ones lie as integers do
  __m512 bias_[2];
  const float* sums_ = nullptr;
  Places places_{};
  std::int64_t left_ = 0;
};

/// A block of sums into `sums`, while the one before is finished. The finisher must stay in registers: hence apart from the sums, whose address is known outside.
template <class Pending>
[[gnu::always_inline]] inline void block_of(Pending& finisher, float* sums, const bfloat16* a, std::int64_t pitch, std::int64_t points, const bfloat16* w, std::int64_t channel_weights,
                                            std::span<const Source> taps, std::int64_t channels, Places places, std::int64_t out) {
  places.at += out;
  finisher.fetch(places, points);
  const std::int64_t steps = static_cast<std::int64_t>(taps.size()) * (channels / block), portion = steps > 0 ? divide_up(block, steps) : block;
  const auto between = [&] {
    finisher.some(portion);
    stay_awake();
  };
  if (points > 16) sum_block<true>(a, pitch, w, channel_weights, taps, channels, sums, between);
  else sum_block<false>(a, pitch, w, channel_weights, taps, channels, sums, between);
  finisher.rest();
  finisher.begin(sums, places, points, out);
}

}  // namespace

/// Rows [begin, end) of the planes of `pictures` pictures from `first` on: [plane][row][column][picture][channel], zeros beside the columns.
void Convolution::copy(const bfloat16* x, bfloat16* to, std::int64_t first, std::int64_t pictures, std::int64_t begin, std::int64_t end) const {
  for (std::size_t p = 0; p < planes_.size(); ++p)
    for (std::int64_t row = begin; row < end; ++row) {
      const auto [fy, fx] = planes_[p];
      const std::int64_t y = (row - above_) * in_row_stride_ + fy, columns = row >= above_ && y < s_.in_rows ? divide_up(s_.in_columns - fx, in_column_stride_) : 0;
      bfloat16* line = to + (static_cast<std::int64_t>(p) * plane_rows_ + row) * plane_columns_ * pictures * pitch_;
      const auto clear = [&](std::int64_t from, std::int64_t until) {
        std::memset(static_cast<void*>(line + from * pictures * pitch_), 0, static_cast<std::size_t>((until - from) * pictures * pitch_ * 2));
      };
      clear(0, before_);
      clear(before_ + columns, plane_columns_);
      for (std::int64_t n = 0; n < pictures && columns > 0; ++n) {
        const bfloat16* from = x + (((first + n) * s_.in_rows + y) * s_.in_columns + fx) * s_.channels;
        for (std::int64_t column = 0; column < columns; ++column)
          copy_point(line + ((before_ + column) * pictures + n) * pitch_, from + column * in_column_stride_ * s_.channels, s_.channels);
      }
    }
}

/// A group of pictures that `copy` has put into planes, and some blocks of outs.
void Convolution::multiply(const bfloat16* a, std::int64_t first, std::int64_t pictures, std::int64_t first_block, std::int64_t last_block, const bfloat16* weights, bfloat16* y,
                           const Epilogue& e) const {
  const TileState tiles;
  alignas(64) float sums[2][block * block];  // of the block that is summed and of the one that is finished
  int turn = 0;
  Finisher finisher(e, y);
  Source taps[64];
  const std::int64_t picture_step = s_.out_rows * s_.out_columns * s_.outs, column_step = out_column_stride_ * s_.outs, row_step = out_row_stride_ * s_.out_columns * s_.outs;
  for (const Part& part : parts_) {
    const std::int64_t channel_weights = static_cast<std::int64_t>(part.taps.size()) * block * block, width = one_line_ ? plane_columns_ : part.columns;
    const std::int64_t lines = one_line_ ? 1 : part.rows, line_points = (one_line_ ? (part.rows - 1) * width + part.columns : width) * pictures;
    for (std::int64_t row = 0; row < lines; ++row) {
      std::size_t count = 0;
      for (std::size_t t = 0; t < part.taps.size(); ++t) {
        const Tap& tap = part.taps[t];
        const std::int64_t seen = row + tap.row_shift + above_;
        if (seen < 0 || seen >= plane_rows_) continue;  // zeros
        taps[count++] = {((tap.plane * plane_rows_ + seen) * plane_columns_ + tap.column) * pictures * pitch_, static_cast<std::int64_t>(t) * block * block};
      }
      const std::int64_t start = first * picture_step + row * row_step + (part.row_phase * s_.out_columns + part.column_phase) * s_.outs;
      for (std::int64_t m = 0; m < line_points; m += block) {
        const std::int64_t column = m / pictures % width, down = m / pictures / width;
        Places places{start + down * row_step + column * column_step + m % pictures * picture_step, picture_step, column_step, pictures, m % pictures};
        if (one_line_) places.column = column, places.columns = part.columns, places.all_columns = width, places.row_step = row_step;
        for (std::int64_t j = first_block; j < last_block; ++j)
          block_of(finisher, sums[turn ^= 1], a + m * pitch_, pitch_, std::min(block, line_points - m), weights + part.weights + j * channel_weights * (s_.channels / block), channel_weights,
                   {taps, count}, s_.channels, places, j * block);
      }
    }
  }
  finisher.rest();
}

/// Points [begin, end) of a picture that is read as it lies: the result's point is the picture's.
void Convolution::multiply_in_place(const bfloat16* x, std::int64_t begin, std::int64_t end, std::int64_t first_block, std::int64_t last_block, const bfloat16* weights, bfloat16* y, bfloat16* tail,
                                    const Epilogue& e) const {
  const TileState tiles;
  alignas(64) float sums[2][block * block];
  int turn = 0;
  Finisher finisher(e, y);
  const Source tap{0, 0};
  const std::int64_t all = s_.pictures * s_.in_rows * s_.in_columns;
  for (std::int64_t m = begin; m < end; m += block) {
    const bfloat16* from = x + m * pitch_;
    if (m + block > all) {  // the tiles would read past the last picture
      std::memcpy(static_cast<void*>(tail), from, static_cast<std::size_t>((all - m) * pitch_ * 2));
      from = tail;
    }
    for (std::int64_t j = first_block; j < last_block; ++j)
      block_of(finisher, sums[turn ^= 1], from, pitch_, std::min(block, end - m), weights + j * s_.channels * block, block * block, {&tap, 1}, s_.channels, {m * s_.outs, 0, s_.outs, 1}, j * block);
  }
  finisher.rest();
}

#pragma GCC pop_options

#else

bool available() { return false; }
void Convolution::copy(const bfloat16*, bfloat16*, std::int64_t, std::int64_t, std::int64_t, std::int64_t) const {}
void Convolution::multiply(const bfloat16*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, const bfloat16*, bfloat16*, const Epilogue&) const {}
void Convolution::multiply_in_place(const bfloat16*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, const bfloat16*, bfloat16*, bfloat16*, const Epilogue&) const {}

#endif

void Convolution::run(const bfloat16* x, const bfloat16* weights, bfloat16* y, void* scratch, const Epilogue& epilogue) const {
  bfloat16* const copies = static_cast<bfloat16*>(scratch);
  bfloat16* const tails = copies + copy_points() * pitch_;  // behind the copies, whose last tiles reach over their end
  const std::int64_t blocks = s_.outs / block, groups = divide_up(s_.pictures, group_), points = s_.pictures * s_.in_rows * s_.in_columns;
  const auto share = [&](std::int64_t n, std::int64_t worker) { return n * worker / workers_; };
  const auto held = [&](std::int64_t group) { return std::min(group_, s_.pictures - group * group_); };
  const auto copy_of = [&](std::int64_t group) { return copies + plane_points(group * group_) * pitch_; };
  if (copies_ && by_outs_)
    parallel_for(groups * plane_rows_, [&](std::int64_t i) {
      const std::int64_t group = i / plane_rows_, row = i % plane_rows_;
      copy(x, copy_of(group), group * group_, held(group), row, row + 1);
    });
  parallel_for(workers_, [&](std::int64_t w) {
    bfloat16* const tail = tails + w * block * pitch_;
    if (by_outs_) {
      for (std::int64_t j = share(blocks, w), last = share(blocks, w + 1); j < last; j += together_) {
        if (!copies_) multiply_in_place(x, 0, points, j, std::min(j + together_, last), weights, y, tail, epilogue);
        for (std::int64_t g = 0; copies_ && g < groups; ++g) multiply(copy_of(g), g * group_, held(g), j, std::min(j + together_, last), weights, y, epilogue);
      }
      return;
    }
    if (!copies_) {
      const std::int64_t panels = divide_up(points, panel_), last = std::min(points, share(panels, w + 1) * panel_);
      for (std::int64_t p = share(panels, w) * panel_; p < last; p += panel_)
        for (std::int64_t j = 0; j < blocks; j += together_) multiply_in_place(x, p, std::min(p + panel_, last), j, std::min(j + together_, blocks), weights, y, tail, epilogue);
      return;
    }
    bfloat16* const own = copies + w * plane_points(group_) * pitch_;
    for (std::int64_t first = share(s_.pictures, w), last = share(s_.pictures, w + 1); first < last; first += group_) {
      const std::int64_t pictures = std::min(group_, last - first);
      copy(x, own, first, pictures, 0, plane_rows_);
      for (std::int64_t j = 0; j < blocks; j += together_) multiply(own, first, pictures, j, std::min(j + together_, blocks), weights, y, epilogue);
    }
  });
}

}  // namespace limpid::cpu::amx
