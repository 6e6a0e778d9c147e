#pragma once
// One call for every attribution method: the options that the command line offers, handed to the method that is named.
#include <limpid/attribution/attribution.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

struct MethodOptions {
  std::vector<limpid::Target> targets{limpid::Target()};     // at least one; here the class that scores highest
  std::string layer;                                         // gradcam, guided_gradcam; "": the model's default
  int steps = 50;                                            // integrated_gradients
  std::string rule = "gausslegendre";                        // integrated_gradients
  bool multiply_by_inputs = true;                            // integrated_gradients
  bool abs = true;                                           // saliency
  limpid::Baseline baseline;                                 // integrated_gradients, occlusion, feature_ablation
  std::array<std::int64_t, 2> window{15, 15}, stride{8, 8};  // occlusion
  std::array<std::int64_t, 2> grid{0, 0};                    // feature_ablation; 0: each element alone
  std::string upsample;                                      // gradcam: to the input's size; guided_gradcam: how; "": as Captum does
};

/// Throws invalid_argument with near names and the whole list.
void require_method(std::string_view name);

/// Throws invalid_argument when none of `methods` knows the option ("--steps"): it would be ignored without a word.
void require_option_known(const std::string& option, std::span<const std::string> methods);

/// Runs the method once, and returns an attribution for each target. Integrated gradients always computes its convergence delta.
std::vector<limpid::Attribution> attribute(const limpid::Explainer& explainer, std::string_view method, const limpid::Tensor& inputs, const MethodOptions& options,
                                           const limpid::RunOptions& run);

/// The stride that goes with a window when none is named: half a window, rounded up.
inline std::array<std::int64_t, 2> half_overlapping(const std::array<std::int64_t, 2>& window) { return {(window[0] + 1) / 2, (window[1] + 1) / 2}; }

/// nearest or bilinear. Throws invalid_argument.
limpid::Interpolation interpolation_named(std::string_view name);
