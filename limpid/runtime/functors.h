#pragma once
// Arithmetic and index maps, written once: loops on the host and kernels on the device call the same functions.
#include <limpid/runtime/host_device.h>

#include <cstdint>

namespace limpid {

enum class Activation : std::uint8_t { none, relu, relu6 };

/// How a ReLU is reversed: by its derivative; only positive gradients through active units (guided backpropagation,
/// Springenberg et al. 2015); only positive gradients whatever the unit did (deconvolution, Zeiler & Fergus 2014).
enum class ReluRule : std::uint8_t { plain, guided, deconvolution };

enum class Interpolation : std::uint8_t { nearest, bilinear };

/// Geometry of a sliding window over one axis: convolution or pooling.
struct Axis {
  std::int64_t kernel = 1, stride = 1, begin = 0, end = 0, dilation = 1;  // begin, end: padding
  bool operator==(const Axis&) const = default;
  LIMPID_HD std::int64_t span() const { return (kernel - 1) * dilation + 1; }
  /// Output extent for an input of n points (floor), 0 or less when the window does not fit.
  LIMPID_HD std::int64_t out(std::int64_t n) const { return n + begin + end < span() ? 0 : (n + begin + end - span()) / stride + 1; }
  /// The input point under tap k of output o; may lie outside [0, n).
  LIMPID_HD std::int64_t in(std::int64_t o, std::int64_t k) const { return o * stride - begin + k * dilation; }
};

template <class T>
LIMPID_HD T activate(T x, Activation a) {
  if (a == Activation::none) return x;
  if (!(x > T(0))) return x != x ? x : T(0);  // NaN stays
  return a == Activation::relu6 && x > T(6) ? T(6) : x;
}

/// Whether the ReLU (or ReLU6) with output y has a slope of one.
template <class T>
LIMPID_HD bool is_active(T y, Activation a) { return y > T(0) && (a != Activation::relu6 || y < T(6)); }

/// The gradient that passes back through a unit.
template <class T>
LIMPID_HD T pass_back(bool active, T dy, ReluRule rule) {
  switch (rule) {
    case ReluRule::guided: return active && dy > T(0) ? dy : T(0);
    case ReluRule::deconvolution: return dy > T(0) ? dy : T(0);
    default: return active ? dy : T(0);
  }
}

/// The gradient that passes a ReLU (or ReLU6) with output y.
template <class T>
LIMPID_HD T activate_backward(T y, T dy, Activation a, ReluRule rule) { return pass_back(is_active(y, a), dy, rule); }

/// The point at `alpha` of the straight path from baseline b to input x.
template <class T>
LIMPID_HD T path_point(T b, T x, T alpha) { return b + alpha * (x - b); }

/// Occlusion windows over one axis of n points, as Captum places them: starts at multiples of the stride, cut at the end.
struct WindowAxis {
  std::int64_t size = 1, stride = 1, extent = 1;
  bool operator==(const WindowAxis&) const = default;
  LIMPID_HD std::int64_t count() const { return extent <= size ? 1 : (extent - size + stride - 1) / stride + 1; }
  LIMPID_HD bool covers(std::int64_t window, std::int64_t point) const { return window * stride <= point && point < window * stride + size; }
  /// The windows that cover a point: [first, last).
  LIMPID_HD std::int64_t first(std::int64_t point) const { return point < size ? 0 : (point - size) / stride + 1; }
  LIMPID_HD std::int64_t last(std::int64_t point) const {
    const std::int64_t l = point / stride + 1;
    return l < count() ? l : count();
  }
};

/// Occlusion windows over channels, rows and columns; the channel runs fastest, as in Captum.
struct WindowGrid {
  WindowAxis channel, row, column;
  bool operator==(const WindowGrid&) const = default;
  LIMPID_HD std::int64_t count() const { return channel.count() * row.count() * column.count(); }
  LIMPID_HD std::int64_t index(std::int64_t c, std::int64_t y, std::int64_t x) const { return c + channel.count() * (y + row.count() * x); }
  struct Place { std::int64_t channel, row, column; };
  /// Which window of each axis number `window` is made of.
  LIMPID_HD Place at(std::int64_t window) const {
    const std::int64_t nc = channel.count(), ny = row.count();
    return {window % nc, window / nc % ny, window / nc / ny};
  }
  LIMPID_HD bool covers(const Place& p, std::int64_t c, std::int64_t y, std::int64_t x) const {
    return channel.covers(p.channel, c) && row.covers(p.row, y) && column.covers(p.column, x);
  }
};

/// Where a patch takes an element of a picture from, one row of which is changed within a rectangle.
enum class PatchSource : std::uint8_t { outside, full, crop };
LIMPID_HD inline PatchSource patch_source(std::int64_t y, std::int64_t x, std::int64_t rows, std::int64_t columns, std::int64_t crop_y, std::int64_t crop_x, std::int64_t crop_rows, std::int64_t crop_columns) {
  if (y < 0 || y >= rows || x < 0 || x >= columns) return PatchSource::outside;
  return y >= crop_y && y < crop_y + crop_rows && x >= crop_x && x < crop_x + crop_columns ? PatchSource::crop : PatchSource::full;
}

/// Bilinear resampling of an axis, align_corners = false: two points and the weight of the second.
struct LinearTap { std::int64_t low, high; double weight; };
LIMPID_HD inline LinearTap linear_tap(std::int64_t out, std::int64_t n_in, std::int64_t n_out) {
  double at = (static_cast<double>(out) + 0.5) * static_cast<double>(n_in) / static_cast<double>(n_out) - 0.5;
  if (at < 0) at = 0;
  const auto low = static_cast<std::int64_t>(at);
  const std::int64_t high = low + 1 < n_in ? low + 1 : low;
  return {low, high, at - static_cast<double>(low)};
}
LIMPID_HD inline std::int64_t nearest_tap(std::int64_t out, std::int64_t n_in, std::int64_t n_out) {
  // PyTorch computes floor(out * (n_in / n_out)) in float; the exact quotient agrees for every integer factor.
  const std::int64_t at = out * n_in / n_out;
  return at < n_in ? at : n_in - 1;
}

}  // namespace limpid
