#include <limpid/cpu/amx_tiles.h>
#include <limpid/runtime/parallel.h>

namespace limpid::cpu::amx {

static constexpr int parts = parts_of<float>;

Product::Product(std::int64_t channels, std::int64_t outs)
    : channels_(channels), outs_(outs), pitch_(pitch_for(parts * channels)), panel_(panel_for(pitch_)) {}

void Product::arrange(const float* w, float* to) const {
  parallel_for(outs_ / block, [&](std::int64_t j) {
    float* at = to + j * block * channels_ * parts;
    for (std::int64_t c = 0; c < channels_; c += block)
      for (int part = 0; part < parts; ++part) at = arrange_tiles<parts>(at, part, [&](std::int64_t k, std::int64_t n) { return w[(c + k) * outs_ + j * block + n]; });
  });
}

#ifdef LIMPID_AMX
#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")

void Product::run(const float* x, std::int64_t rows, const bfloat16* weights, float* y, void* scratch, int share, int shares) const {
  const TileState tiles;
  alignas(64) float sums[2][block * block];
  int turn = 0;
  const Epilogue<float> nothing;
  Finisher<float> finisher(nothing, y, 16);
  const Source all{0, 0};
  auto* panel = static_cast<bfloat16*>(scratch);  // a tile may reach 31 rows over its end
  const std::int64_t blocks = outs_ / block;
  for (std::int64_t first = 0; first < rows; first += panel_) {
    const std::int64_t count = std::min(panel_, rows - first);
    split_line(x + first * channels_, count, channels_, 16, channels_, panel, pitch_);
    for (std::int64_t j = blocks * share / shares; j < blocks * (share + 1) / shares; ++j)
      for (std::int64_t m = 0; m < count; m += block)
        block_of<parts>(finisher, sums[turn ^= 1], panel + m * pitch_, pitch_, std::min(block, count - m), weights + j * block * channels_ * parts, block * block * parts, {&all, 1}, channels_,
                    {(first + m) * outs_, 0, outs_, 1}, j * block);
  }
  finisher.rest();
}

#pragma GCC pop_options
#else
void Product::run(const float*, std::int64_t, const bfloat16*, float*, void*, int, int) const {}
#endif

}  // namespace limpid::cpu::amx
