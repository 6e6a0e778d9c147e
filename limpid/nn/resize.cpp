#include <limpid/nn/resize.h>
#include <limpid/runtime/error.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace limpid {
namespace {

// Pillow's Resample.c: products of an 8-bit pixel and a coefficient are summed in 32 bits, two of them for the filter's overshoot.
constexpr int precision_bits = 32 - 8 - 2;
constexpr int max_extent = 65535;
constexpr std::int64_t max_pixels = 100'000'000;

double bilinear_filter(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

double bicubic_filter(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

// For each output point of an axis: the input points under the filter, and their weights in fixed point.
struct Taps {
  int width;                           // weights kept for each output
  std::vector<int> first, count;       // [out]
  std::vector<std::int32_t> weights;  // [out, width]
};

Taps filter_taps(int in, int out, Resampling resampling, bool antialias) {
  const bool cubic = resampling == Resampling::bicubic;
  const double scale = static_cast<double>(in) / out, filter_scale = antialias ? std::max(scale, 1.0) : 1.0;
  const double support = (cubic ? 2.0 : 1.0) * filter_scale;
  Taps taps;
  taps.width = static_cast<int>(std::ceil(support)) * 2 + 1;
  taps.first.resize(static_cast<std::size_t>(out));
  taps.count.resize(static_cast<std::size_t>(out));
  taps.weights.resize(static_cast<std::size_t>(out) * taps.width);
  std::vector<double> weights(static_cast<std::size_t>(taps.width));
  for (int o = 0; o < out; ++o) {
    const double center = (o + 0.5) * scale;
    const int first = std::max(static_cast<int>(center - support + 0.5), 0);
    const int count = std::min(static_cast<int>(center + support + 0.5), in) - first;
    double sum = 0;
    const double step = 1.0 / filter_scale;
    for (int k = 0; k < count; ++k) {
      const double x = (k + first - center + 0.5) * step;
      weights[k] = cubic ? bicubic_filter(x) : bilinear_filter(x);
      sum += weights[k];
    }
    for (int k = 0; k < count; ++k) {
      const double weight = (sum != 0.0 ? weights[k] / sum : weights[k]) * (1 << precision_bits);
      taps.weights[static_cast<std::size_t>(o) * taps.width + k] = static_cast<std::int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    taps.first[o] = first;
    taps.count[o] = count;
  }
  return taps;
}

std::uint8_t rounded_pixel(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> precision_bits, 0, 255)); }

Image resize_rows(const Image& image, int width, const Taps& taps) {
  Image out(width, image.height);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < width; ++x) {
      const std::uint8_t* from = image.at(taps.first[x], y);
      const std::int32_t* weight = &taps.weights[static_cast<std::size_t>(x) * taps.width];
      std::int32_t sum[3] = {1 << (precision_bits - 1), 1 << (precision_bits - 1), 1 << (precision_bits - 1)};
      for (int k = 0; k < taps.count[x]; ++k, from += 3)
        for (int c = 0; c < 3; ++c) sum[c] += from[c] * weight[k];
      for (int c = 0; c < 3; ++c) out.at(x, y)[c] = rounded_pixel(sum[c]);
    }
  }
  return out;
}

Image resize_columns(const Image& image, int height, const Taps& taps) {
  Image out(image.width, height);
  const std::size_t row = static_cast<std::size_t>(image.width) * 3;
  std::vector<std::int32_t> sums(row);
  for (int y = 0; y < height; ++y) {
    std::fill(sums.begin(), sums.end(), 1 << (precision_bits - 1));
    for (int k = 0; k < taps.count[y]; ++k) {
      const std::uint8_t* from = image.at(0, taps.first[y] + k);
      const std::int32_t weight = taps.weights[static_cast<std::size_t>(y) * taps.width + k];
      for (std::size_t i = 0; i < row; ++i) sums[i] += from[i] * weight;
    }
    std::transform(sums.begin(), sums.end(), out.at(0, y), rounded_pixel);
  }
  return out;
}

// Pillow's ImagingScaleAffine steps through the input by repeated addition; the rounding of that is part of the result.
std::vector<int> nearest_points(int in, int out) {
  std::vector<int> points(static_cast<std::size_t>(out));
  const double step = static_cast<double>(in) / out;
  double at = step * 0.5;
  for (int& point : points) {
    point = std::min(static_cast<int>(at), in - 1);
    at += step;
  }
  return points;
}

Image resize_nearest(const Image& image, int width, int height) {
  const std::vector<int> xs = nearest_points(image.width, width), ys = nearest_points(image.height, height);
  Image out(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) std::memcpy(out.at(x, y), image.at(xs[x], ys[y]), 3);
  return out;
}

// Half of an even or odd distance, to the even neighbour: Python's round(distance / 2.0).
int half_to_even(int distance) {
  const int half = distance / 2;
  return distance % 2 ? half + half % 2 : half;
}

}  // namespace

Resampling resampling_named(std::string_view name) {
  if (name == "nearest") return Resampling::nearest;
  if (name == "bilinear") return Resampling::bilinear;
  if (name == "bicubic") return Resampling::bicubic;
  fail(ErrorCode::invalid_argument, "The interpolation '", name, "' is unknown; use nearest, bilinear or bicubic.");
}

Image resize(const Image& image, int width, int height, Resampling resampling, bool antialias) {
  require_picture(image, "resize");
  const bool sides = width >= 1 && width <= max_extent && height >= 1 && height <= max_extent;
  require(sides && static_cast<std::int64_t>(width) * height <= max_pixels, "resize: ", width, " x ", height,
          " pixels were asked for; each side must lie in 1..", max_extent, ", and the picture have at most 100 megapixels.");
  if (image.width == width && image.height == height) return image;
  if (resampling == Resampling::nearest) return resize_nearest(image, width, height);

  const auto across = [&](const Image& from) {
    return from.width == width ? from : resize_rows(from, width, filter_taps(from.width, width, resampling, antialias));
  };
  const auto down = [&](const Image& from) {
    return from.height == height ? from : resize_columns(from, height, filter_taps(from.height, height, resampling, antialias));
  };
  const int fewer_rows = image.height - height, fewer_columns = image.width - width;
  return fewer_rows > 0 && fewer_rows > 2 * fewer_columns ? across(down(image)) : down(across(image));
}

Image resize_shorter_side(const Image& image, int size, Resampling resampling, bool antialias) {
  require_picture(image, "resize_shorter_side");
  require(size >= 1, "resize_shorter_side: the size is ", size, "; it must be positive.");
  const auto [shorter, longer] = std::minmax(image.width, image.height);
  const std::int64_t other = static_cast<std::int64_t>(size) * longer / shorter;
  require(other <= max_extent, "resize_shorter_side: a picture of ", image.width, " x ", image.height, " pixels would become ", other,
          " pixels long; limpid resizes to at most ", max_extent, ".");
  const int length = static_cast<int>(other);
  return image.width <= image.height ? resize(image, size, length, resampling, antialias) : resize(image, length, size, resampling, antialias);
}

Image center_crop(const Image& image, int width, int height) {
  require_picture(image, "center_crop");
  require(width >= 1 && width <= max_extent && height >= 1 && height <= max_extent, "center_crop: ", width, " x ", height,
          " pixels were asked for; each side must lie in 1..", max_extent, ".");
  // Where the crop begins in the picture, along one axis; negative: after as many black rows or columns.
  const auto offset = [](int extent, int size) { return extent < size ? -((size - extent) / 2) : half_to_even(extent - size); };
  const int left = offset(image.width, width), top = offset(image.height, height);
  const int x0 = std::max(0, -left), x1 = std::min(width, image.width - left);
  Image out(width, height);
  for (int y = std::max(0, -top); y < std::min(height, image.height - top); ++y)
    std::memcpy(out.at(x0, y), image.at(x0 + left, y + top), static_cast<std::size_t>(x1 - x0) * 3);
  return out;
}

}  // namespace limpid
