#include <limpid/cpu/amx_tiles.h>
#include <limpid/runtime/parallel.h>

#ifdef LIMPID_AMX
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace limpid::cpu::amx {
namespace {

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

template <class T>
Convolution<T>::Convolution(const Sizes& sizes, const Axis& rows, const Axis& columns, bool backward, int workers)
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
  pitch_ = copies_ || parts > 1 ? pitch_for(parts * s_.channels) : s_.channels;
  const std::int64_t share = divide_up(s_.pictures, workers_), picture_bytes = 2 * plane_points(1) * pitch_;
  // Many weights: each worker keeps some of the outs, for all pictures. So too when pictures do not deal evenly.
  by_outs_ = count * 2 * parts > cache || share * workers_ * 4 > s_.pictures * 5;
  group_ = by_outs_ ? std::min<std::int64_t>(s_.pictures, 16) : divide_up(share, divide_up(share, std::clamp<std::int64_t>(cache / picture_bytes, 1, 16)));
  // Few points in a row: all rows are one line, with zeros above and below the picture.
  one_line_ = group_ * s_.out_columns / out_column_stride_ < 64;
  if (one_line_) above_ = down.before, plane_rows_ += down.before + down.after;
  const std::int64_t blocks = by_outs_ ? divide_up(s_.outs / block, workers_) : s_.outs / block;
  together_ = blocks * block * s_.channels * most_taps * 2 * parts <= cache / 2 ? blocks : 1;
  panel_ = parts == 1 ? 512 : panel_for(pitch_);
}

template <class T>
std::int64_t Convolution<T>::copy_points() const { return copies_ ? plane_points(by_outs_ ? s_.pictures : workers_ * group_) : 0; }

template <class T>
std::int64_t Convolution<T>::weight_count() const {
  std::int64_t taps = 0;
  for (const Part& p : parts_) taps += static_cast<std::int64_t>(p.taps.size());
  return taps * s_.channels * s_.outs * parts;
}

template <class T>
void Convolution<T>::arrange(const float* w, float* to) const {
  const std::int64_t taps = kernel_rows_ * kernel_columns_;
  for (const Part& part : parts_)
    parallel_for(s_.outs / block, [&](std::int64_t j) {
      float* at = to + (part.weights + j * block * s_.channels * static_cast<std::int64_t>(part.taps.size())) * parts;
      for (std::int64_t c = 0; c < s_.channels; c += block)
        for (const Tap& tap : part.taps)
          for (int p = 0; p < parts; ++p)
            at = arrange_tiles<parts>(at, p, [&](std::int64_t k, std::int64_t n) {
              const std::int64_t channel = c + k, out = j * block + n;
              return w[(backward_ ? channel * s_.outs + out : out * s_.channels + channel) * taps + tap.kernel_row * kernel_columns_ + tap.kernel_column];
            });
    });
}

template <class T>
std::size_t Convolution<T>::scratch_bytes() const {
  return static_cast<std::size_t>((copy_points() + workers_ * own_points()) * pitch_ * 2);
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

/// Rows [begin, end) of the planes of `pictures` pictures from `first` on: [plane][row][column][picture][part][channel], zeros beside the columns.
template <class T>
void Convolution<T>::copy(const T* x, bfloat16* to, std::int64_t first, std::int64_t pictures, std::int64_t begin, std::int64_t end) const {
  const std::int64_t area = s_.in_rows * s_.in_columns;
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
      for (std::int64_t n = 0; n < pictures && columns > 0; ++n)
        copy_line(x + (first + n) * area * s_.channels, area, y * s_.in_columns + fx, columns, in_column_stride_, s_.channels, line + (before_ * pictures + n) * pitch_, pictures * pitch_);
    }
}

/// A group of pictures that `copy` has put into planes, and some blocks of outs.
template <class T>
void Convolution<T>::multiply(const bfloat16* a, std::int64_t first, std::int64_t pictures, std::int64_t first_block, std::int64_t last_block, const bfloat16* weights, T* y,
                              const Epilogue<T>& e) const {
  const TileState tiles;
  alignas(64) float sums[2][block * block];  // of the block that is summed and of the one that is finished
  int turn = 0;
  Finisher<T> finisher(e, y, out_step());
  Source taps[64];
  const std::int64_t point = point_step(), picture_step = s_.out_rows * s_.out_columns * s_.outs, column_step = out_column_stride_ * point, row_step = out_row_stride_ * s_.out_columns * point;
  for (const Part& part : parts_) {
    const std::int64_t channel_weights = static_cast<std::int64_t>(part.taps.size()) * block * block * parts, width = one_line_ ? plane_columns_ : part.columns;
    const std::int64_t lines = one_line_ ? 1 : part.rows, line_points = (one_line_ ? (part.rows - 1) * width + part.columns : width) * pictures;
    for (std::int64_t row = 0; row < lines; ++row) {
      std::size_t count = 0;
      for (std::size_t t = 0; t < part.taps.size(); ++t) {
        const Tap& tap = part.taps[t];
        const std::int64_t seen = row + tap.row_shift + above_;
        if (seen < 0 || seen >= plane_rows_) continue;  // zeros
        taps[count++] = {((tap.plane * plane_rows_ + seen) * plane_columns_ + tap.column) * pictures * pitch_, static_cast<std::int64_t>(t) * block * block * parts};
      }
      const std::int64_t start = first * picture_step + row * row_step + (part.row_phase * s_.out_columns + part.column_phase) * point;
      for (std::int64_t m = 0; m < line_points; m += block) {
        const std::int64_t column = m / pictures % width, down = m / pictures / width;
        Places places{start + down * row_step + column * column_step + m % pictures * picture_step, picture_step, column_step, pictures, m % pictures};
        if (one_line_) places.column = column, places.columns = part.columns, places.all_columns = width, places.row_step = row_step;
        for (std::int64_t j = first_block; j < last_block; ++j)
          block_of<parts>(finisher, sums[turn ^= 1], a + m * pitch_, pitch_, std::min(block, line_points - m), weights + part.weights * parts + j * channel_weights * (s_.channels / block), channel_weights,
                   {taps, count}, s_.channels, places, j * block);
      }
    }
  }
  finisher.rest();
}

/// Points [begin, end) of pictures of which each is read once, in parts.
template <class T>
void Convolution<T>::split(const T* x, bfloat16* to, std::int64_t begin, std::int64_t end) const {
  const std::int64_t area = s_.in_rows * s_.in_columns;
  for (std::int64_t m = begin; m < end;) {
    const std::int64_t picture = m / area, points = std::min(end, (picture + 1) * area) - m;
    copy_line(x + picture * area * s_.channels, area, m % area, points, 1, s_.channels, to + (m - begin) * pitch_, pitch_);
    m += points;
  }
}

/// Points [begin, end), which lie at `a` on, `readable` of them: the result's point is the picture's. `tail`: place for 32.
template <class T>
void Convolution<T>::multiply_in_place(const bfloat16* a, std::int64_t begin, std::int64_t end, std::int64_t readable, std::int64_t first_block, std::int64_t last_block, const bfloat16* weights, T* y,
                                       bfloat16* tail, const Epilogue<T>& e) const {
  const TileState tiles;
  alignas(64) float sums[2][block * block];
  int turn = 0;
  Finisher<T> finisher(e, y, out_step());
  const Source tap{0, 0};
  const std::int64_t area = s_.in_rows * s_.in_columns, picture_step = area * s_.outs;
  for (std::int64_t m = begin; m < end; m += block) {
    const bfloat16* from = a + (m - begin) * pitch_;
    if (const std::int64_t left = readable - (m - begin); left < block) {  // the tiles would read past the last
      std::memcpy(static_cast<void*>(tail), from, static_cast<std::size_t>(left * pitch_ * 2));
      from = tail;
    }
    const std::int64_t at = m % area;
    const Places places{m / area * picture_step + at * point_step(), 0, point_step(), 1, 0, at, Places::many, area, picture_step};
    for (std::int64_t j = first_block; j < last_block; ++j)
      block_of<parts>(finisher, sums[turn ^= 1], from, pitch_, std::min(block, end - m), weights + j * s_.channels * block * parts, block * block * parts, {&tap, 1}, s_.channels, places, j * block);
  }
  finisher.rest();
}

#pragma GCC pop_options

#else

bool available() { return false; }
template <class T>
void Convolution<T>::copy(const T*, bfloat16*, std::int64_t, std::int64_t, std::int64_t, std::int64_t) const {}
template <class T>
void Convolution<T>::multiply(const bfloat16*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, const bfloat16*, T*, const Epilogue<T>&) const {}
template <class T>
void Convolution<T>::split(const T*, bfloat16*, std::int64_t, std::int64_t) const {}
template <class T>
void Convolution<T>::multiply_in_place(const bfloat16*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, const bfloat16*, T*, bfloat16*, const Epilogue<T>&) const {}

#endif

template <class T>
void Convolution<T>::run(const T* x, const bfloat16* weights, T* y, void* scratch, const Epilogue<T>& epilogue) const {
  bfloat16* const copies = static_cast<bfloat16*>(scratch);
  bfloat16* const own_places = copies + copy_points() * pitch_;  // behind the copies, whose last tiles reach over their end
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
    bfloat16* const own = own_places + w * own_points() * pitch_;
    const std::int64_t first_block = by_outs_ ? share(blocks, w) : 0, last_block = by_outs_ ? share(blocks, w + 1) : blocks;
    const auto in_portions = [&](auto f) {
      for (std::int64_t j = first_block; j < last_block; j += together_) f(j, std::min(j + together_, last_block));
    };
    if (!copies_) {
      const std::int64_t panels = divide_up(points, panel_), first = by_outs_ ? 0 : share(panels, w) * panel_, last = by_outs_ ? points : std::min(points, share(panels, w + 1) * panel_);
      const std::int64_t step = parts == 1 && by_outs_ ? points : panel_;
      bfloat16* const tail = own + (parts == 1 ? 0 : panel_ * pitch_);
      for (std::int64_t p = first; p < last; p += step) {
        const std::int64_t until = std::min(p + step, last);
        if constexpr (parts == 1) {
          in_portions([&](std::int64_t j, std::int64_t end) { multiply_in_place(x + p * pitch_, p, until, points - p, j, end, weights, y, tail, epilogue); });
        } else {
          split(x, own, p, until);
          in_portions([&](std::int64_t j, std::int64_t end) { multiply_in_place(own, p, until, panel_, j, end, weights, y, tail, epilogue); });
        }
      }
      return;
    }
    if (by_outs_)
      return in_portions([&](std::int64_t j, std::int64_t end) {
        for (std::int64_t g = 0; g < groups; ++g) multiply(copy_of(g), g * group_, held(g), j, end, weights, y, epilogue);
      });
    bfloat16* const group = copies + w * plane_points(group_) * pitch_;
    for (std::int64_t first = share(s_.pictures, w), last = share(s_.pictures, w + 1); first < last; first += group_) {
      const std::int64_t pictures = std::min(group_, last - first);
      copy(x, group, first, pictures, 0, plane_rows_);
      in_portions([&](std::int64_t j, std::int64_t end) { multiply(group, first, pictures, j, end, weights, y, epilogue); });
    }
  });
}

template class Convolution<bfloat16>;
template class Convolution<float>;

}  // namespace limpid::cpu::amx
