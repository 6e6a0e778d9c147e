// Convolutions from the pattern's definition, forward and backward alike: each point of the result is a row of gathered operands times a matrix
// of weights. Backward, the gathered row holds dy under each tap that reaches the point, and the weights are turned.
#include "sums.h"

#include <algorithm>
#include <vector>

namespace limpid::cuda::on_host {
namespace {

struct Geometry {
  const ConvolutionPattern& p;
  std::int64_t group_in, group_out, taps;
  std::int64_t rows, columns, in_rows, in_columns, in_channels, out_channels;

  explicit Geometry(const ConvolutionPattern& q)
      : p(q), group_in((q.backward ? q.outputs : q.channels) / q.groups), group_out((q.backward ? q.channels : q.outputs) / q.groups), taps(q.vertical.kernel * q.horizontal.kernel),
        rows(q.backward ? q.rows : q.out_rows), columns(q.backward ? q.columns : q.out_columns), in_rows(q.backward ? q.out_rows : q.rows), in_columns(q.backward ? q.out_columns : q.columns),
        in_channels(group_in * q.groups), out_channels(group_out * q.groups) {}

  /// The operand's coordinate under tap k of result o, or -1.
  std::int64_t under(const Axis& a, std::int64_t o, std::int64_t k, std::int64_t n) const {
    std::int64_t at = a.in(o, k);
    if (p.backward) {
      const std::int64_t t = o + a.begin - k * a.dilation;
      if (t < 0 || t % a.stride) return -1;
      at = t / a.stride;
    }
    return at >= 0 && at < n ? at : -1;
  }
  /// The operand's pixel under tap t of a point of the result, or null where that is padding.
  const float* pixel(const float* in, std::int64_t point, std::int64_t t) const {
    const std::int64_t y = under(p.vertical, point / columns % rows, t / p.horizontal.kernel, in_rows), x = under(p.horizontal, point % columns, t % p.horizontal.kernel, in_columns);
    return y < 0 || x < 0 ? nullptr : in + ((point / (rows * columns) * in_rows + y) * in_columns + x) * in_channels;
  }
};

/// Sums of `count` points from `first` on, [count, out_channels].
class Sums {
 public:
  Sums(const Geometry& g, const std::vector<float>& in, const float* w, bool reversed) : g_(g), in_(in.data()), reversed_(reversed), length_((g.taps * g.group_in + lanes - 1) / lanes * lanes) {
    const std::int64_t inner = g.p.channels / g.p.groups, outs = g.p.outputs / g.p.groups;
    weights_.resize(static_cast<std::size_t>(depthwise() ? g.taps * g.out_channels : g.out_channels * length_));
    for (std::int64_t k = 0; k < g.p.outputs; ++k)
      for (std::int64_t t = 0; t < g.taps; ++t)
        for (std::int64_t c = 0; c < inner; ++c) {
          const std::int64_t group = k / outs, row = g.p.backward ? group * inner + c : k, column = g.p.backward ? t * outs + k % outs : t * inner + c;
          weights_[static_cast<std::size_t>(depthwise() ? t * g.out_channels + k : row * length_ + column)] = w[(k * g.taps + t) * inner + c];
        }
    patches_.resize(static_cast<std::size_t>(tile * length_));
    group_.resize(static_cast<std::size_t>(tile * g.group_out));
  }
  static constexpr std::int64_t tile = 32;

  void operator()(std::int64_t first, std::int64_t count, float* sums) {
    if (depthwise()) return channel_by_channel(first, count, sums);
    for (std::int64_t group = 0; group < g_.p.groups; ++group) {
      std::fill(patches_.begin(), patches_.end(), 0.0f);
      for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t t = 0; t < g_.taps; ++t)
          if (const float* pixel = g_.pixel(in_, first + i, t)) std::copy_n(pixel + group * g_.group_in, g_.group_in, patches_.data() + i * length_ + t * g_.group_in);
      products(patches_.data(), weights_.data() + group * g_.group_out * length_, group_.data(), count, g_.group_out, length_, reversed_);
      for (std::int64_t i = 0; i < count; ++i) std::copy_n(group_.data() + i * g_.group_out, g_.group_out, sums + i * g_.out_channels + group * g_.group_out);
    }
  }

 private:
  bool depthwise() const { return g_.group_in == 1 && g_.group_out == 1; }
  void channel_by_channel(std::int64_t first, std::int64_t count, float* sums) const {
    std::fill_n(sums, count * g_.out_channels, 0.0f);
    for (std::int64_t i = 0; i < count; ++i)
      for (std::int64_t t = 0; t < g_.taps; ++t) {
        const std::int64_t tap = reversed_ ? g_.taps - 1 - t : t;
        const float *pixel = g_.pixel(in_, first + i, tap), *w = weights_.data() + tap * g_.out_channels;
        float* to = sums + i * g_.out_channels;
        if (pixel)
          for (std::int64_t c = 0; c < g_.out_channels; ++c) to[c] += pixel[c] * w[c];
      }
  }

  const Geometry& g_;
  const float* in_;
  bool reversed_;
  std::int64_t length_;  // of a row, padded to `lanes`
  std::vector<float> weights_, patches_, group_;
};

template <class T>
void store(const float* from, void* to, std::int64_t first, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) static_cast<T*>(to)[first + i] = T(from[i]);
}

}  // namespace

void convolve(const ConvolutionPattern& p, const ConvolutionArguments& a, DType bias_type, bool reversed) {
  const Geometry g(p);
  std::vector<float> in(static_cast<std::size_t>(p.in_elements())), weight(static_cast<std::size_t>(p.outputs * g.taps * (p.channels / p.groups))), bias(static_cast<std::size_t>(p.bias ? p.outputs : 0));
  convert(a.in, p.type, in.size(), p.tf32, in.data());
  convert(a.weight, p.type, weight.size(), p.tf32, weight.data());
  if (p.bias) convert(a.bias, bias_type, bias.size(), false, bias.data());
  Sums sum(g, in, weight.data(), reversed);
  const std::int64_t points = p.images * g.rows * g.columns;
  std::vector<float> tile(static_cast<std::size_t>(Sums::tile * g.out_channels)), addend(p.addend ? tile.size() : 0);
  auto* mask = static_cast<std::uint8_t*>(a.mask);
  for (std::int64_t first = 0; first < points; first += Sums::tile) {
    const std::int64_t count = std::min(Sums::tile, points - first), begin = first * g.out_channels, n = count * g.out_channels;
    sum(first, count, tile.data());
    if (p.bias)
      for (std::int64_t i = 0; i < n; ++i) tile[static_cast<std::size_t>(i)] += bias[static_cast<std::size_t>(i % g.out_channels)];
    if (p.addend) {
      convert(static_cast<const std::byte*>(a.addend) + static_cast<std::size_t>(begin) * size_of(p.type), p.type, static_cast<std::size_t>(n), false, addend.data());
      for (std::int64_t i = 0; i < n; ++i) tile[static_cast<std::size_t>(i)] += addend[static_cast<std::size_t>(i)];
    }
    for (std::int64_t i = 0; i < n; i += 8) {
      unsigned bits = 0;
      for (int b = 0; b < 8; ++b) {
        float& v = tile[static_cast<std::size_t>(i + b)];
        v = activate(v, p.activation);
        if (v > 0 && (p.activation != Activation::relu6 || v < 6)) bits |= 1u << b;
        if (p.mask && p.backward && !(mask[(begin + i) / 8] >> b & 1)) v = 0;
      }
      if (p.mask && !p.backward) mask[(begin + i) / 8] = static_cast<std::uint8_t>(bits);
    }
    if (p.type == DType::f32) store<float>(tile.data(), a.out, begin, n);
    else if (p.type == DType::bf16) store<bfloat16>(tile.data(), a.out, begin, n);
    else store<float16>(tile.data(), a.out, begin, n);
  }
}

}  // namespace limpid::cuda::on_host
