#include "views.h"

#include <map>

using namespace limpid;

namespace {

struct Style {
  std::string title;
  Sign sign;
  Method method;
  double alpha = 0.5;
};

/// Fine-grained maps stand alone on black, where single pixels can be seen; coarse maps lie over the picture, where the place counts.
Style style_of(std::string_view method) {
  static const std::map<std::string, Style, std::less<>> styles = {
      {"saliency", {"Saliency", Sign::absolute_value, Method::heat_map}},
      {"input_x_gradient", {"Input × gradient", Sign::absolute_value, Method::heat_map}},
      {"integrated_gradients", {"Integrated gradients", Sign::absolute_value, Method::heat_map}},
      {"guided_backprop", {"Guided backpropagation", Sign::absolute_value, Method::heat_map}},
      {"deconvolution", {"Deconvolution", Sign::absolute_value, Method::heat_map}},
      {"gradcam", {"Grad-CAM", Sign::positive, Method::blended_heat_map, 0.6}},
      {"guided_gradcam", {"Guided Grad-CAM", Sign::absolute_value, Method::heat_map}},
      {"occlusion", {"Occlusion", Sign::all, Method::blended_heat_map, 0.6}},
      {"feature_ablation", {"Feature ablation", Sign::all, Method::blended_heat_map, 0.6}},
  };
  const auto found = styles.find(method);
  return found == styles.end() ? Style{std::string(method), Sign::all, Method::blended_heat_map} : found->second;
}

/// Dark at zero in every map, so that what matters glows: blue against the class, red for it.
ColorMap map_of(Sign sign) {
  static constexpr Color both[] = {{120, 200, 255}, {30, 120, 240}, {10, 50, 130}, {0, 0, 4}, {130, 25, 20}, {240, 80, 30}, {255, 190, 90}};
  return sign == Sign::all ? ColorMap::from_colors(both) : ColorMap::named("inferno");
}

}  // namespace

MethodView view_of(std::string_view method, const Attribution& attribution, const Image& picture, const std::string& subtitle, const ViewOptions& options) {
  const Style style = style_of(method);
  VisualizationOptions v;
  v.method = style.method;
  v.sign = options.sign.value_or(style.sign);
  v.outlier_percent = options.outlier_percent;
  v.alpha_overlay = options.captum_colors ? 0.5 : style.alpha;
  v.color_map = options.captum_colors ? default_color_map(v.sign) : map_of(v.sign);
  ColorBar bar = color_bar(v);
  if (v.sign == Sign::all) bar.low += " against", bar.high = "for " + bar.high;
  MethodView result;
  result.view = {style.title, subtitle, visualize(picture, attribution.attributions, v, &result.all_zero), bar};
  if (result.all_zero) result.view.subtitle = "zero everywhere";
  return result;
}
