#pragma once
// Attributions as pictures: the vocabulary and the formulas of captum.attr.visualization.
#include <limpid/attribution/colormap.h>
#include <limpid/attribution/panel.h>
#include <limpid/nn/image.h>
#include <limpid/runtime/tensor.h>

#include <optional>
#include <string_view>

namespace limpid {

/// Which attributions are shown.
enum class Sign { all, positive, negative, absolute_value };

/// How they are shown.
enum class Method { heat_map, blended_heat_map, original_image, masked_image, alpha_scaling };

/// The enumerator of that name. Throws invalid_argument with the known names.
Sign sign_named(std::string_view name);
Method method_named(std::string_view name);

struct NormalizedAttribution {
  Tensor values;          // [H,W] f32, in [-1,1] for Sign::all, else in [0,1]
  bool all_zero = false;  // nothing of that sign to show: `values` is zero everywhere
};

/// Captum's `_normalize_attr`: sums the channels, keeps the sign asked for, and divides by the value below which
/// 100 - outlier_percent of the summed magnitude lies; what exceeds it is clipped. Arithmetic in f32, in numpy's order.
/// `attribution` is [C,H,W] or [1,C,H,W], of any float dtype. Where Captum asserts (all zero), the result is zeros and a flag.
/// Throws invalid_argument for another shape, an empty tensor, a value that is not finite, or a percentage outside [0,100).
NormalizedAttribution normalize_attribution(const Tensor& attribution, Sign sign, double outlier_percent = 2);

struct VisualizationOptions {
  Method method = Method::heat_map;
  Sign sign = Sign::absolute_value;
  double outlier_percent = 2;
  double alpha_overlay = 0.5;         // opacity of the heat map in blended_heat_map
  std::optional<ColorMap> color_map = {};  // none: default_color_map(sign)
  bool show_colorbar = false;         // heat_map and blended_heat_map: adds a bar below the picture
};

/// Captum's map for a sign: red_white_green, Greens, Reds, Blues.
ColorMap default_color_map(Sign sign);

/// The colour bar that belongs to a heat map with these options, labelled with its bounds: -1..1 for Sign::all, else 0..1.
ColorBar color_bar(const VisualizationOptions& options);

/// The picture of an attribution, as Captum's `visualize_image_attr` draws it, at the size of `original`: an attribution of another height or
/// width (Grad-CAM) is normalised and then upsampled bilinearly (align_corners false). `all_zero`, if given, says that there was nothing to show.
/// blended_heat_map lays the heat map over the channel mean, stretched to black..white. masked_image multiplies the picture with the
/// attribution; alpha_scaling uses it as opacity over white; both throw invalid_argument for Sign::all, as Captum does.
/// Throws invalid_argument for an empty picture and whatever normalize_attribution refuses.
Image visualize(const Image& original, const Tensor& attribution, const VisualizationOptions& options, bool* all_zero = nullptr);

}  // namespace limpid
