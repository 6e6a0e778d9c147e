#pragma once
// The attribution methods, under Captum's names and with Captum's options and defaults. inputs are [N,3,H,W], f32 or f64,
// normalised as the network wants them. All throw invalid_argument (with near names for layers and rules), out_of_memory, cancelled.
//
// Each comes twice: for the one target of its options, and for several targets of the same inputs (whatever the options' target), which gives
// an attribution for each. Those share one run: the forward pass, its masks and the variants of a sweep are computed once.
#include <limpid/attribution/explainer.h>
#include <limpid/runtime/functors.h>

#include <array>

namespace limpid {

/// What is explained: the logit of a class, or a neuron of a layer.
struct Target {
  std::vector<std::int64_t> classes;         // one for all samples or one each; empty: the class that each sample scores highest
  std::string layer;                         // not empty: the score is the neuron of this layer at channel, row, column
  std::array<std::int64_t, 3> neuron{0, 0, 0};

  Target() = default;
  Target(std::int64_t index) : classes{index} {}  // NOLINT: a class index is a target
  Target(std::vector<std::int64_t> indices) : classes(std::move(indices)) {}
};

/// Several things to explain about the same inputs; at least one.
struct Targets {
  std::vector<Target> each;
  explicit Targets(std::vector<Target> targets) : each(std::move(targets)) {}
};

/// What an absent feature looks like: a number, a tensor [1|N,3,H,W], or the input itself blurred.
struct Baseline {
  double value = 0;
  Tensor tensor;
  double blur_sigma = 0;  // pixels; > 0: a Gaussian blur of the input, edges mirrored

  Baseline() = default;
  Baseline(double v) : value(v) {}  // NOLINT: as in Captum, a number or a tensor is a baseline
  Baseline(Tensor t) : tensor(std::move(t)) {}
  static Baseline blur(double sigma = 10) {
    Baseline b;
    b.blur_sigma = sigma;
    return b;
  }
};

struct Attribution {
  Tensor attributions;               // f32 (f64 in precision f64)
  std::vector<std::int64_t> targets; // the class of each sample (the neuron's channel for a neuron)
  std::vector<double> scores;        // its score
  std::vector<double> convergence_delta;  // integrated gradients, when asked for: sum of attributions - (F(input) - F(baseline))
  double compile_seconds = 0, run_seconds = 0;
  std::size_t peak_bytes = 0;        // of the workspace
};

struct SaliencyOptions {
  Target target;
  bool abs = true;
};
/// |d score / d input| (Simonyan et al. 2014) -> [N,3,H,W].
Attribution saliency(const Explainer& explainer, const Tensor& inputs, const SaliencyOptions& options = {}, const RunOptions& run = {});
std::vector<Attribution> saliency(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const SaliencyOptions& options = {}, const RunOptions& run = {});

struct InputXGradientOptions { Target target; };
/// input * d score / d input (Shrikumar et al. 2016) -> [N,3,H,W].
Attribution input_x_gradient(const Explainer& explainer, const Tensor& inputs, const InputXGradientOptions& options = {}, const RunOptions& run = {});
std::vector<Attribution> input_x_gradient(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const InputXGradientOptions& options = {}, const RunOptions& run = {});

struct IntegratedGradientsOptions {
  Target target;
  Baseline baselines;
  int n_steps = 50;
  std::string method = "gausslegendre";
  bool multiply_by_inputs = true;
  bool return_convergence_delta = false;
};
/// (input - baseline) * integral of the gradient along the straight path (Sundararajan et al. 2017, equation 1) -> [N,3,H,W].
Attribution integrated_gradients(const Explainer& explainer, const Tensor& inputs, const IntegratedGradientsOptions& options = {}, const RunOptions& run = {});
std::vector<Attribution> integrated_gradients(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const IntegratedGradientsOptions& options = {}, const RunOptions& run = {});

struct ModifiedGradientOptions { Target target; };
/// Springenberg et al. 2015 -> [N,3,H,W].
Attribution guided_backprop(const Explainer& explainer, const Tensor& inputs, const ModifiedGradientOptions& options = {}, const RunOptions& run = {});
std::vector<Attribution> guided_backprop(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const ModifiedGradientOptions& options = {}, const RunOptions& run = {});
/// Zeiler & Fergus 2014 -> [N,3,H,W].
Attribution deconvolution(const Explainer& explainer, const Tensor& inputs, const ModifiedGradientOptions& options = {}, const RunOptions& run = {});
std::vector<Attribution> deconvolution(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const ModifiedGradientOptions& options = {}, const RunOptions& run = {});

struct GradCamOptions {
  Target target;
  std::string layer;             // "": the model's default
  bool relu_attributions = false;
};
/// Captum's LayerGradCam (Selvaraju et al. 2017, equations 1 and 2; the ReLU of equation 2 is the option) -> [N,1,h,w] of the layer.
Attribution gradcam(const Explainer& explainer, const Tensor& inputs, const GradCamOptions& options = {}, const RunOptions& run = {});
std::vector<Attribution> gradcam(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const GradCamOptions& options = {}, const RunOptions& run = {});

struct GuidedGradCamOptions {
  Target target;
  std::string layer;
  Interpolation interpolate_mode = Interpolation::nearest;
};
/// Guided backpropagation times the upsampled positive part of Grad-CAM (Selvaraju et al. 2017, section 3.2) -> [N,3,H,W].
Attribution guided_gradcam(const Explainer& explainer, const Tensor& inputs, const GuidedGradCamOptions& options = {}, const RunOptions& run = {});
std::vector<Attribution> guided_gradcam(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const GuidedGradCamOptions& options = {}, const RunOptions& run = {});

struct OcclusionOptions {
  Target target;
  std::array<std::int64_t, 3> sliding_window_shapes{3, 15, 15};  // channels, rows, columns
  std::array<std::int64_t, 3> strides{3, 8, 8};
  Baseline baselines;
};
/// The drop of the score when a window is replaced by the baseline, averaged over the windows that cover an element
/// (Zeiler & Fergus 2014) -> [N,3,H,W].
Attribution occlusion(const Explainer& explainer, const Tensor& inputs, const OcclusionOptions& options = {}, const RunOptions& run = {});
std::vector<Attribution> occlusion(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const OcclusionOptions& options = {}, const RunOptions& run = {});

struct FeatureAblationOptions {
  Target target;
  Baseline baselines;
  Tensor feature_mask;  // i64 [1|N,1|3,H,W]: elements of equal number are replaced together; undefined: each element alone
};
/// The drop of the score when a feature is replaced by the baseline -> [N,3,H,W].
Attribution feature_ablation(const Explainer& explainer, const Tensor& inputs, const FeatureAblationOptions& options = {}, const RunOptions& run = {});
std::vector<Attribution> feature_ablation(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const FeatureAblationOptions& options = {}, const RunOptions& run = {});

/// A feature mask [1,1,H,W] of rows x columns rectangles. Throws invalid_argument when there are more than pixels.
Tensor grid_feature_mask(std::int64_t height, std::int64_t width, std::int64_t rows, std::int64_t columns);

/// [N,C,h,w] -> [N,C,rows,columns]; Captum's LayerAttribution.interpolate.
Tensor interpolate(const Tensor& attributions, std::int64_t rows, std::int64_t columns, Interpolation mode = Interpolation::nearest);

/// The names of the methods above in snake_case, as the command line takes them.
std::span<const std::string> attribution_methods();

}  // namespace limpid
