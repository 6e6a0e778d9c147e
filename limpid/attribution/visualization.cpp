#include <limpid/attribution/visualization.h>
#include <limpid/runtime/error.h>
#include <limpid/runtime/functors.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

namespace limpid {
namespace {

constexpr std::array<std::string_view, 4> sign_names = {"all", "positive", "negative", "absolute_value"};
constexpr std::array<std::string_view, 5> method_names = {"heat_map", "blended_heat_map", "original_image", "masked_image", "alpha_scaling"};

template <class Enum>
Enum enumerator_named(std::string_view name, std::span<const std::string_view> known, std::string_view what) {
  const auto found = std::find(known.begin(), known.end(), name);
  if (found != known.end()) return static_cast<Enum>(found - known.begin());
  std::string list;
  for (const auto one : known) list += (list.empty() ? "" : ", ") + std::string(one);
  fail(ErrorCode::invalid_argument, "The ", what, " '", name, "' is unknown; use one of ", list, ".");
}

// [C,H,W] or [1,C,H,W] summed over the channels, [H,W] f32.
Tensor channel_sum(const Tensor& attribution) {
  const Shape& shape = attribution.shape();
  const bool batch = shape.rank() == 4 && shape[0] == 1;
  require(attribution.defined() && (shape.rank() == 3 || batch), "normalize_attribution: the attribution has the shape ", shape,
          "; it must be [C,H,W] or [1,C,H,W]. Visualise the samples of a batch one by one.");
  require(shape.numel() > 0, "normalize_attribution: the attribution is empty, ", shape, ".");
  const DType dtype = attribution.dtype();
  const bool floats = dtype == DType::f32 || dtype == DType::f64 || dtype == DType::f16 || dtype == DType::bf16;
  require(floats, "normalize_attribution: the attribution's elements are ", name_of(dtype), ", not floats.");

  const Tensor values = attribution.to(DType::f32);
  const std::int64_t channels = shape[batch ? 1 : 0], height = shape[batch ? 2 : 1], width = shape[batch ? 3 : 2];
  Tensor sum({height, width});
  const std::size_t plane = static_cast<std::size_t>(height * width);
  float* to = sum.data<float>();
  for (std::int64_t c = 0; c < channels; ++c) {
    const float* from = values.data<float>() + static_cast<std::size_t>(c) * plane;
    for (std::size_t i = 0; i < plane; ++i) to[i] = c ? to[i] + from[i] : from[i];
  }
  for (std::size_t i = 0; i < plane; ++i)
    require(std::isfinite(to[i]), "normalize_attribution: the attribution at row ", i / width, ", column ", i % width, " is ", to[i],
            "; it must be finite. Look for an overflow in the network or its input, or compute in f32.");
  return sum;
}

// Captum's _cumulative_sum_threshold: the magnitude at which the running sum of the sorted magnitudes reaches the percentile.
float cumulative_sum_threshold(std::span<const float> values, double percentile) {
  std::vector<float> sorted(values.size()), sums(values.size());
  std::transform(values.begin(), values.end(), sorted.begin(), [](float value) { return std::abs(value); });
  std::sort(sorted.begin(), sorted.end());
  std::partial_sum(sorted.begin(), sorted.end(), sums.begin());
  const float reached = sums.back() * 0.01f * static_cast<float>(percentile);
  const auto at = std::find_if(sums.begin(), sums.end(), [reached](float sum) { return sum >= reached; });
  return sorted[at == sums.end() ? sorted.size() - 1 : static_cast<std::size_t>(at - sums.begin())];
}

Tensor upsampled(const Tensor& map, int height, int width) {
  const std::int64_t h = map.shape()[0], w = map.shape()[1];
  if (h == height && w == width) return map;
  Tensor out({height, width});
  const float* from = map.data<float>();
  float* to = out.data<float>();
  for (int y = 0; y < height; ++y) {
    const LinearTap v = linear_tap(y, h, height);
    for (int x = 0; x < width; ++x) {
      const LinearTap u = linear_tap(x, w, width);
      const auto along = [&](std::int64_t row) { return std::lerp(double{from[row * w + u.low]}, double{from[row * w + u.high]}, u.weight); };
      *to++ = static_cast<float>(std::lerp(along(v.low), along(v.high), v.weight));
    }
  }
  return out;
}

Image heat_map(const Tensor& values, Sign sign, const ColorMap& map) {
  Image out(static_cast<int>(values.shape()[1]), static_cast<int>(values.shape()[0]));
  std::uint8_t* to = out.pixels.data();
  for (const float value : values.span<float>()) {
    const Color color = map(sign == Sign::all ? (static_cast<double>(value) + 1) / 2 : static_cast<double>(value));
    to = std::copy(color.begin(), color.end(), to);
  }
  return out;
}

// The mean of the channels, stretched from its least to its greatest value over the map "gray": matplotlib's imshow(cmap="gray").
Image stretched_grey(Image image) {
  const ColorMap gray = ColorMap::named("gray");
  std::vector<int> sums(image.pixels.size() / 3);
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = image.pixels[3 * i] + image.pixels[3 * i + 1] + image.pixels[3 * i + 2];
  const auto [low, high] = std::minmax_element(sums.begin(), sums.end());
  const double least = *low, range = std::max(*high - *low, 1);  // a flat picture becomes black
  for (std::size_t i = 0; i < sums.size(); ++i) std::ranges::copy(gray((sums[i] - least) / range), &image.pixels[3 * i]);
  return image;
}

Image blended(const Image& original, const Image& heat, double alpha) {
  Image out = stretched_grey(original);
  for (std::size_t i = 0; i < out.pixels.size(); ++i)
    out.pixels[i] = static_cast<std::uint8_t>(std::lround(alpha * heat.pixels[i] + (1 - alpha) * out.pixels[i]));
  return out;
}

Image masked(Image original, const Tensor& values) {
  const float* value = values.data<float>();
  for (std::size_t i = 0; i < original.pixels.size(); ++i)
    original.pixels[i] = static_cast<std::uint8_t>(static_cast<float>(original.pixels[i]) * value[i / 3]);
  return original;
}

Image alpha_scaled(Image original, const Tensor& values) {
  const float* value = values.data<float>();
  for (std::size_t i = 0; i < original.pixels.size(); ++i) {
    const int alpha = static_cast<int>(value[i / 3] * 255);
    original.pixels[i] = static_cast<std::uint8_t>((original.pixels[i] * alpha + 255 * (255 - alpha) + 127) / 255);
  }
  return original;
}

}  // namespace

Sign sign_named(std::string_view name) { return enumerator_named<Sign>(name, sign_names, "sign"); }
Method method_named(std::string_view name) { return enumerator_named<Method>(name, method_names, "visualisation method"); }

NormalizedAttribution normalize_attribution(const Tensor& attribution, Sign sign, double outlier_percent) {
  require(outlier_percent >= 0 && outlier_percent < 100, "normalize_attribution: outlier_percent is ", outlier_percent,
          "; it must be at least 0 and less than 100.");
  NormalizedAttribution result{channel_sum(attribution)};
  const std::span<float> values = result.values.span<float>();
  for (float& value : values) {
    if (sign == Sign::positive) value = std::max(value, 0.0f);
    if (sign == Sign::negative) value = std::max(-value, 0.0f);
    if (sign == Sign::absolute_value) value = std::abs(value);
  }
  const float threshold = cumulative_sum_threshold(values, 100 - outlier_percent);
  result.all_zero = threshold == 0;
  for (float& value : values) value = result.all_zero ? 0.0f : std::clamp(value / threshold, -1.0f, 1.0f);
  return result;
}

ColorMap default_color_map(Sign sign) {
  switch (sign) {
    case Sign::all: return ColorMap::named("red_white_green");
    case Sign::positive: return ColorMap::named("Greens");
    case Sign::negative: return ColorMap::named("Reds");
    case Sign::absolute_value: break;
  }
  return ColorMap::named("Blues");
}

ColorBar color_bar(const VisualizationOptions& options) {
  return {options.color_map.value_or(default_color_map(options.sign)), options.sign == Sign::all ? "−1" : "0", "1"};
}

Image visualize(const Image& original, const Tensor& attribution, const VisualizationOptions& options, bool* all_zero) {
  require_picture(original, "visualize");
  require(options.alpha_overlay >= 0 && options.alpha_overlay <= 1, "visualize: alpha_overlay is ", options.alpha_overlay, "; it must lie in 0..1.");
  const bool heated = options.method == Method::heat_map || options.method == Method::blended_heat_map;
  require(heated || options.method == Method::original_image || options.sign != Sign::all,
          "visualize: masked_image and alpha_scaling cannot show both signs; choose positive, negative or absolute_value.");
  if (all_zero) *all_zero = false;
  if (options.method == Method::original_image) return original;

  const NormalizedAttribution normalized = normalize_attribution(attribution, options.sign, options.outlier_percent);
  if (all_zero) *all_zero = normalized.all_zero;
  const Tensor values = upsampled(normalized.values, original.height, original.width);
  if (options.method == Method::masked_image) return masked(original, values);
  if (options.method == Method::alpha_scaling) return alpha_scaled(original, values);

  const ColorBar bar = color_bar(options);
  Image heat = heat_map(values, options.sign, bar.map);
  if (options.method == Method::blended_heat_map) heat = blended(original, heat, options.alpha_overlay);
  return options.show_colorbar ? with_color_bar(heat, bar) : heat;
}

}  // namespace limpid
