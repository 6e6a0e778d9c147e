#include "methods.h"

#include "parse.h"

#include <limpid/runtime/near_names.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

using namespace limpid;

namespace {

using Attributions = std::vector<Attribution>;
using Run = Attributions (*)(const Explainer&, const Tensor&, const MethodOptions&, const RunOptions&);

Attributions run_occlusion(const Explainer& e, const Tensor& x, const MethodOptions& o, const RunOptions& r) {
  return occlusion(e, x, Targets(o.targets), {{}, {3, o.window[0], o.window[1]}, {3, o.stride[0], o.stride[1]}, o.baseline}, r);
}

Attributions run_feature_ablation(const Explainer& e, const Tensor& x, const MethodOptions& o, const RunOptions& r) {
  const Tensor mask = o.grid == std::array<std::int64_t, 2>{0, 0} ? Tensor() : grid_feature_mask(x.shape()[2], x.shape()[3], o.grid[0], o.grid[1]);
  return feature_ablation(e, x, Targets(o.targets), {{}, o.baseline, mask}, r);
}

Attributions run_gradcam(const Explainer& e, const Tensor& x, const MethodOptions& o, const RunOptions& r) {
  Attributions all = gradcam(e, x, Targets(o.targets), {{}, o.layer}, r);
  if (!o.upsample.empty())
    for (Attribution& a : all) a.attributions = interpolate(a.attributions, x.shape()[2], x.shape()[3], interpolation_named(o.upsample));
  return all;
}

Attributions run_guided_gradcam(const Explainer& e, const Tensor& x, const MethodOptions& o, const RunOptions& r) {
  return guided_gradcam(e, x, Targets(o.targets), {{}, o.layer, o.upsample.empty() ? Interpolation::nearest : interpolation_named(o.upsample)}, r);
}

const std::map<std::string, Run, std::less<>> runs = {
    {"saliency", [](auto& e, auto& x, auto& o, auto& r) { return saliency(e, x, Targets(o.targets), {{}, o.abs}, r); }},
    {"input_x_gradient", [](auto& e, auto& x, auto& o, auto& r) { return input_x_gradient(e, x, Targets(o.targets), {}, r); }},
    {"integrated_gradients",
     [](auto& e, auto& x, auto& o, auto& r) {
       return integrated_gradients(e, x, Targets(o.targets), {{}, o.baseline, o.steps, o.rule, o.multiply_by_inputs, true}, r);
     }},
    {"guided_backprop", [](auto& e, auto& x, auto& o, auto& r) { return guided_backprop(e, x, Targets(o.targets), {}, r); }},
    {"deconvolution", [](auto& e, auto& x, auto& o, auto& r) { return deconvolution(e, x, Targets(o.targets), {}, r); }},
    {"gradcam", run_gradcam},
    {"guided_gradcam", run_guided_gradcam},
    {"occlusion", run_occlusion},
    {"feature_ablation", run_feature_ablation},
};

using Names = std::vector<std::string>;
const std::map<std::string, Names, std::less<>> methods_by_option = {
    {"--steps", {"integrated_gradients"}},
    {"--rule", {"integrated_gradients"}},
    {"--no-multiply-by-inputs", {"integrated_gradients"}},
    {"--baseline", {"integrated_gradients", "occlusion", "feature_ablation"}},
    {"--window", {"occlusion"}},
    {"--stride", {"occlusion"}},
    {"--grid", {"feature_ablation"}},
    {"--upsample", {"gradcam", "guided_gradcam"}},
    {"--abs", {"saliency"}},
    {"--no-abs", {"saliency"}},
    {"--layer", {"gradcam", "guided_gradcam"}},
    {"--neuron", {"saliency", "input_x_gradient", "integrated_gradients", "guided_backprop", "deconvolution", "occlusion", "feature_ablation"}},
};

}  // namespace

void require_method(std::string_view name) {
  const auto known = attribution_methods();
  if (std::find(known.begin(), known.end(), name) == known.end())
    fail(ErrorCode::invalid_argument, "There is no method '", name, "'.", did_you_mean(name, known), " The methods: ", joined(known), ".");
}

void require_option_known(const std::string& option, std::span<const std::string> methods) {
  const Names& knowing = methods_by_option.at(option);
  if (std::find_first_of(methods.begin(), methods.end(), knowing.begin(), knowing.end()) != methods.end()) return;
  fail(ErrorCode::invalid_argument, option, " does not apply to ", joined(methods), "; it belongs to ", joined(knowing), ".");
}

std::vector<Attribution> attribute(const Explainer& explainer, std::string_view method, const Tensor& inputs, const MethodOptions& options, const RunOptions& run) {
  require_method(method);
  const auto found = runs.find(method);
  if (found == runs.end()) fail(ErrorCode::unsupported, "The command line does not offer the method '", method, "' yet.");
  return found->second(explainer, inputs, options, run);
}

Interpolation interpolation_named(std::string_view name) {
  require(name == "nearest" || name == "bilinear", "--upsample: '", name, "' is neither nearest nor bilinear.");
  return name == "nearest" ? Interpolation::nearest : Interpolation::bilinear;
}
