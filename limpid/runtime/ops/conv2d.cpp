// 2-D convolution (cross-correlation, as in every framework) with optional bias, addend and activation, and its gradient
// with respect to the input.
#include <limpid/runtime/ops/common.h>

#include <cstring>
#include <numeric>

namespace limpid {
namespace ops {
namespace {

/// Both directions are one matrix product: outputs x terms times terms x points, where a term is a channel under a tap. The points
/// are taken in tiles of 256 bytes, four outputs at a time, so that the sums stay in registers.
template <class T>
struct Lanes {
  typedef T Vector __attribute__((vector_size(64)));
  static constexpr std::int64_t width = 64 / sizeof(T), tile = 4 * width;
};

/// out[o][0..tile) = sum over k of w[o * w_out + k * w_term] * terms[k][0..tile), for `outs` <= 4 outputs.
template <class T>
inline __attribute__((always_inline)) void multiply_body(T* out, const T* w, std::int64_t w_out, const std::int64_t* w_term, const T* terms, std::int64_t count, std::int64_t outs) {
  using V = typename Lanes<T>::Vector;
  const auto* rows = reinterpret_cast<const V*>(terms);
  const T* w0 = w;
  const T *w1 = w + (outs > 1 ? w_out : 0), *w2 = w + (outs > 2 ? 2 * w_out : 0), *w3 = w + (outs > 3 ? 3 * w_out : 0);
  V sums[4][4] = {};
  for (std::int64_t k = 0; k < count; ++k, rows += 4) {
    const T a = w0[w_term[k]], b = w1[w_term[k]], c = w2[w_term[k]], d = w3[w_term[k]];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      sums[0][i] += a * rows[i];
      sums[1][i] += b * rows[i];
      sums[2][i] += c * rows[i];
      sums[3][i] += d * rows[i];
    }
  }
  std::memcpy(out, sums, sizeof(sums));
}
LIMPID_CLONES void multiply(float* out, const float* w, std::int64_t w_out, const std::int64_t* w_term, const float* terms, std::int64_t count, std::int64_t outs) {
  multiply_body(out, w, w_out, w_term, terms, count, outs);
}
LIMPID_CLONES void multiply(double* out, const double* w, std::int64_t w_out, const std::int64_t* w_term, const double* terms, std::int64_t count, std::int64_t outs) {
  multiply_body(out, w, w_out, w_term, terms, count, outs);
}

/// For every group and every point of `rows` output planes: `gather(row, first channel of the group, y, x, f)` calls f(term, value) for the terms
/// that are not zero there; `store(row, output, point, value)` takes the sums. Weights: output o, term k at o * w_out + w_term[k].
template <class T, class Gather, class Store>
void convolve(std::int64_t rows, std::int64_t groups, std::int64_t outs, std::int64_t height, std::int64_t width, const T* w, std::int64_t w_group, std::int64_t w_out,
              const std::vector<std::int64_t>& w_term, Gather gather, Store store) {
  constexpr std::int64_t tile = Lanes<T>::tile;
  const std::int64_t points = rows * height * width, tiles = (points + tile - 1) / tile, terms = static_cast<std::int64_t>(w_term.size());
  parallel_for(tiles * groups, [&](std::int64_t item) {
    const std::int64_t group = item % groups, first = item / groups * tile, count = std::min(tile, points - first);
    Tensor columns(Shape{terms, tile}, dtype_of<T>);  // zeroed
    alignas(64) T sums[4 * tile];
    for (std::int64_t p = 0; p < count; ++p) {
      const std::int64_t point = first + p, row = point / (height * width);
      gather(row, group, point / width % height, point % width, [&](std::int64_t term, T value) { columns.template data<T>()[term * tile + p] = value; });
    }
    for (std::int64_t o = 0; o < outs; o += 4) {
      const std::int64_t some = std::min<std::int64_t>(4, outs - o);
      multiply(sums, w + group * w_group + o * w_out, w_out, w_term.data(), columns.template data<T>(), terms, some);
      for (std::int64_t j = 0; j < some; ++j)
        for (std::int64_t p = 0; p < count; ++p) store((first + p) / (height * width), group * outs + o + j, (first + p) % (height * width), sums[j * tile + p]);
    }
  });
}

std::vector<ValueType> infer_forward(const Graph& g, const Node& n) {
  const auto& a = n.as<Conv2dAttributes>();
  const Shape &x = in_shape(g, n, 0, 3), &w = in_shape(g, n, 1, 4);
  require(a.groups > 0 && x[0] % a.groups == 0 && w[0] % a.groups == 0 && w[1] == x[0] / a.groups, "conv2d: the weight ", w, " with ", a.groups,
          " group(s) does not fit an input of shape ", x, ".");
  for (const Axis* axis : {&a.rows, &a.columns})
    require(axis->stride > 0 && axis->dilation > 0 && axis->begin >= 0 && axis->end >= 0, "conv2d: stride and dilation must be positive, padding not negative.");
  check_once(g, n, 1, Shape{w[0], w[1], a.rows.kernel, a.columns.kernel});
  if (n.has_input(2)) check_once(g, n, 2, Shape{w[0]});
  const Shape out{w[0], a.rows.out(x[1]), a.columns.out(x[2])};
  require(out[1] > 0 && out[2] > 0, "conv2d: a ", w[2], "x", w[3], " kernel does not fit an input of shape ", x, ".");
  if (n.has_input(3)) require(in(g, n, 3).shape == out && in(g, n, 3).rows == in(g, n, 0).rows, "conv2d: the addend ", in(g, n, 3).shape, " differs from the output ", out, ".");
  return {{out, in(g, n, 0).rows, Kind::real}};
}

template <class T>
void forward(const KernelCall& call) {
  const auto& a = call.attributes<Conv2dAttributes>();
  const Shape &x = call.in_shape(0), &y = call.out_shape();
  const std::int64_t channels = x[0] / a.groups, outs = y[0] / a.groups, plane = y[1] * y[2], taps = a.rows.kernel * a.columns.kernel;
  const T* bias = call.node.has_input(2) ? call.input<T>(2) : nullptr;
  const T* addend = call.node.has_input(3) ? call.input<T>(3) : nullptr;
  std::vector<std::int64_t> terms(static_cast<std::size_t>(channels * taps));
  std::iota(terms.begin(), terms.end(), 0);
  convolve<T>(
      call.rows, a.groups, outs, y[1], y[2], call.input<T>(1), outs * channels * taps, channels * taps, terms,
      [&](std::int64_t row, std::int64_t group, std::int64_t oy, std::int64_t ox, auto put) {
        const T* from = call.input<T>(0) + (row * x[0] + group * channels) * x[1] * x[2];
        for (std::int64_t ky = 0; ky < a.rows.kernel; ++ky)
          for (std::int64_t kx = 0; kx < a.columns.kernel; ++kx) {
            const std::int64_t iy = a.rows.in(oy, ky), ix = a.columns.in(ox, kx);
            if (iy < 0 || iy >= x[1] || ix < 0 || ix >= x[2]) continue;
            for (std::int64_t c = 0; c < channels; ++c) put(c * taps + ky * a.columns.kernel + kx, from[(c * x[1] + iy) * x[2] + ix]);
          }
      },
      [&](std::int64_t row, std::int64_t o, std::int64_t point, T sum) {
        const std::int64_t i = (row * y[0] + o) * plane + point;
        call.output<T>()[i] = activate(sum + (bias ? bias[o] : T(0)) + (addend ? addend[i] : T(0)), a.activation);
      });
}

Value gradient(Graph& g, const Node& n, Value dy, int which) {
  auto a = n.as<Conv2dAttributes>();
  if (which == 3) return dy;
  if (which != 0 || a.activation != Activation::none) fail(ErrorCode::unsupported, "conv2d: only the gradient of an unfused convolution's input exists; weights are constants.");
  const Shape& x = in(g, n, 0).shape;
  a.in_rows = x[1];
  a.in_columns = x[2];
  return g.append(conv2d_backward_data, {dy, input_of(g, n, 1)}, a);
}

std::vector<ValueType> infer_backward(const Graph& g, const Node& n) {
  const auto& a = n.as<Conv2dAttributes>();
  const Shape &dy = in_shape(g, n, 0, 3), &w = in_shape(g, n, 1, 4);
  require(dy == Shape({w[0], a.rows.out(a.in_rows), a.columns.out(a.in_columns)}), "conv2d_backward_data: the gradient ", dy, " does not fit the weight ", w, ".");
  return {{Shape{w[1] * a.groups, a.in_rows, a.in_columns}, in(g, n, 0).rows, Kind::real}};
}

template <class T>
void backward(const KernelCall& call) {
  const auto& a = call.attributes<Conv2dAttributes>();
  const Shape &dy = call.in_shape(0), &dx = call.out_shape();
  const std::int64_t channels = dx[0] / a.groups, outs = dy[0] / a.groups, taps = a.rows.kernel * a.columns.kernel;
  std::vector<std::int64_t> terms;  // output o under tap t, as seen from channel 0
  for (std::int64_t o = 0; o < outs; ++o)
    for (std::int64_t t = 0; t < taps; ++t) terms.push_back(o * channels * taps + t);
  convolve<T>(
      call.rows, a.groups, channels, dx[1], dx[2], call.input<T>(1), outs * channels * taps, taps, terms,
      [&](std::int64_t row, std::int64_t group, std::int64_t iy, std::int64_t ix, auto put) {
        const T* from = call.input<T>(0) + (row * dy[0] + group * outs) * dy[1] * dy[2];
        for (std::int64_t ky = 0; ky < a.rows.kernel; ++ky)
          for (std::int64_t kx = 0; kx < a.columns.kernel; ++kx) {
            const std::int64_t down = iy - a.rows.in(0, ky), right = ix - a.columns.in(0, kx);  // stride times the output that this tap serves
            if (down < 0 || right < 0 || down % a.rows.stride || right % a.columns.stride) continue;
            const std::int64_t oy = down / a.rows.stride, ox = right / a.columns.stride;
            if (oy >= dy[1] || ox >= dy[2]) continue;
            for (std::int64_t o = 0; o < outs; ++o) put(o * taps + ky * a.columns.kernel + kx, from[(o * dy[1] + oy) * dy[2] + ox]);
          }
      },
      [&](std::int64_t row, std::int64_t c, std::int64_t point, T sum) { call.output<T>()[(row * dx[0] + c) * dx[1] * dx[2] + point] = sum; });
}

Value gradient_of_backward(Graph& g, const Node& n, Value dy, int which) {  // the map is linear: its transpose is the convolution
  if (which != 0) fail(ErrorCode::unsupported, "conv2d_backward_data: weights are constants.");
  auto a = n.as<Conv2dAttributes>();
  a.in_rows = a.in_columns = 0;
  return g.append(conv2d, {dy, input_of(g, n, 1)}, a);
}

}  // namespace

const OpDef conv2d{"conv2d", infer_forward, gradient, LIMPID_KERNEL(forward)};
const OpDef conv2d_backward_data{"conv2d_backward_data", infer_backward, gradient_of_backward, LIMPID_KERNEL(backward)};

}  // namespace ops

Value conv2d(Value x, Value weight, Value bias, const Conv2dOptions& o) {
  const Shape& w = weight.shape();
  require(w.rank() == 4, "conv2d: the weight has the shape ", w, "; [outputs, channels, rows, columns] is needed.");
  Conv2dAttributes a;
  a.rows = {w[2], o.stride[0], o.padding_begin[0], o.padding_end[0], o.dilation[0]};
  a.columns = {w[3], o.stride[1], o.padding_begin[1], o.padding_end[1], o.dilation[1]};
  a.groups = o.groups;
  return x.graph->append(ops::conv2d, {x, weight, bias}, a);
}

}  // namespace limpid
