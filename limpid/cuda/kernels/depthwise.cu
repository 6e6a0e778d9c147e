// Depthwise convolutions, forward and backward: a thread sums four neighbouring columns of eight channels, so that each filter tap is read once
// for four points; a block's filters (64 channels) lie in shared memory as f32, tap by tap. Bytes: in and out once (neighbours meet in the
// cache), filters once a block, then those of the epilogue.
#include <limpid/cuda/kernels/depthwise.h>
#include <limpid/cuda/kernels/epilogue_arithmetic.h>

namespace limpid::cuda::kernels {
namespace {

constexpr int columns_a_thread = 4, packs_a_block = 8, channels_a_block = 8 * packs_a_block, rows_of_threads = 32, most_taps = 49;

/// One axis, from the side of the result: which operand lies under tap k of result o, or -1. Stride 0: known only when run.
template <bool Backward, int Stride>
struct Under {
  int stride, begin, dilation, extent;  // extent: of the operand
  __device__ int operator()(int o, int k) const {
    const int s = Stride ? Stride : stride;
    int at;
    if constexpr (!Backward) {
      at = o * s - begin + k * dilation;
    } else {
      const int t = o + begin - k * dilation;
      if (t < 0 || t % s != 0) return -1;
      at = t / s;
    }
    return at >= 0 && at < extent ? at : -1;
  }
};

struct Extents {
  int channels, rows, columns, in_rows, in_columns;  // rows, columns: of the result
  int kernel_rows, kernel_columns;
  std::uint32_t strips, strips_a_row;  // of columns_a_thread columns each
};

template <class T, bool Backward, int Stride>
__global__ void depthwise_kernel(Extents e, Under<Backward, Stride> vertical, Under<Backward, Stride> horizontal, const T* in, const T* weight, T* out, Epilogue epilogue) {
  __shared__ float filters[most_taps * channels_a_block];
  const int taps = e.kernel_rows * e.kernel_columns, first_channel = static_cast<int>(blockIdx.y) * channels_a_block;
  const int thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x), threads = static_cast<int>(blockDim.x * blockDim.y);
  for (int i = thread; i < taps * channels_a_block; i += threads) {
    const int channel = i / taps, tap = i % taps;
    filters[tap * channels_a_block + channel] = first_channel + channel < e.channels ? static_cast<float>(weight[static_cast<std::int64_t>(first_channel) * taps + i]) : 0.0f;
  }
  __syncthreads();

  const std::uint32_t strip = blockIdx.x * blockDim.y + threadIdx.y;
  const int channel = first_channel + 8 * static_cast<int>(threadIdx.x);
  if (strip >= e.strips || channel >= e.channels) return;
  const std::uint32_t line = strip / e.strips_a_row;
  const int column = static_cast<int>(strip % e.strips_a_row) * columns_a_thread, row = static_cast<int>(line % static_cast<std::uint32_t>(e.rows));
  const std::int64_t image = line / static_cast<std::uint32_t>(e.rows);

  Float8 sums[columns_a_thread] = {};
  for (int r = 0; r < e.kernel_rows; ++r) {
    const int y = vertical(row, r);
    if (y < 0) continue;
    const T* line_in = in + (image * e.in_rows + y) * e.in_columns * e.channels + channel;
    for (int s = 0; s < e.kernel_columns; ++s) {
      const float* tap = filters + (r * e.kernel_columns + s) * channels_a_block + 8 * threadIdx.x;
      float f[8];
      for (int k = 0; k < 8; ++k) f[k] = tap[k];
      for (int j = 0; j < columns_a_thread; ++j) {
        const int x = horizontal(column + j, s);
        if (x < 0 || column + j >= e.columns) continue;
        const Float8 v = load8(line_in + static_cast<std::int64_t>(x) * e.channels);
        for (int k = 0; k < 8; ++k) sums[j].v[k] += v.v[k] * f[k];
      }
    }
  }
  for (int j = 0; j < columns_a_thread; ++j)
    if (column + j < e.columns) finish_pack(epilogue, sums[j], out, ((static_cast<std::int64_t>(line) * e.columns + column + j) * e.channels + channel) / 8, channel);
}

template <class T, bool Backward, int Stride>
void run(Stream& stream, const ConvolutionPattern& p, const void* in, const void* weight, void* out, const Epilogue& epilogue) {
  const auto axis = [](const Axis& a, std::int64_t extent) {
    return Under<Backward, Stride>{static_cast<int>(a.stride), static_cast<int>(a.begin), static_cast<int>(a.dilation), static_cast<int>(extent)};
  };
  Extents e;
  e.channels = static_cast<int>(p.channels);
  e.rows = static_cast<int>(Backward ? p.rows : p.out_rows);
  e.columns = static_cast<int>(Backward ? p.columns : p.out_columns);
  e.in_rows = static_cast<int>(Backward ? p.out_rows : p.rows);
  e.in_columns = static_cast<int>(Backward ? p.out_columns : p.columns);
  e.kernel_rows = static_cast<int>(p.vertical.kernel);
  e.kernel_columns = static_cast<int>(p.horizontal.kernel);
  const std::int64_t strips_a_row = (e.columns + columns_a_thread - 1) / columns_a_thread, strips = p.images * e.rows * strips_a_row;
  dim3 grid = blocks_for(strips, rows_of_threads);
  grid.y = static_cast<unsigned>((p.channels + channels_a_block - 1) / channels_a_block);
  e.strips = static_cast<std::uint32_t>(strips);
  e.strips_a_row = static_cast<std::uint32_t>(strips_a_row);
  launch(depthwise_kernel<T, Backward, Stride>, grid, dim3(packs_a_block, rows_of_threads), stream, e, axis(p.vertical, e.in_rows), axis(p.horizontal, e.in_columns), static_cast<const T*>(in),
         static_cast<const T*>(weight), static_cast<T*>(out), epilogue);
}

}  // namespace

bool takes_depthwise(const ConvolutionPattern& p) { return p.depthwise() && p.channels % 8 == 0 && p.vertical.kernel * p.horizontal.kernel <= most_taps; }

void depthwise(Stream& stream, const ConvolutionPattern& p, const void* in, const void* weight, void* out, const Epilogue& epilogue) {
  const std::int64_t stride = p.vertical.stride == p.horizontal.stride ? p.vertical.stride : 0;
  dispatch_element(p.type, [&](auto t) {
    using T = decltype(t);
    if (!p.backward) run<T, false, 0>(stream, p, in, weight, out, epilogue);  // only a division is worth a stride known beforehand
    else if (stride == 1) run<T, true, 1>(stream, p, in, weight, out, epilogue);
    else if (stride == 2) run<T, true, 2>(stream, p, in, weight, out, epilogue);
    else run<T, true, 0>(stream, p, in, weight, out, epilogue);
  });
}

}  // namespace limpid::cuda::kernels
