#pragma once
// Reference attributions from files (PyTorch + Captum, float64): a tensor's name says which method with which options made it.
#include <limpid/attribution/attribution.h>
#include <limpid/weights/safetensors.h>

#include <cmath>
#include <sstream>

namespace limpid::testing {

inline std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, by);) parts.push_back(part);
  return parts;
}

/// "15" or "20x14" -> rows, columns.
inline std::pair<std::int64_t, std::int64_t> extents(const std::string& text) {
  const auto parts = split(text, 'x');
  return {std::stoll(parts[0]), std::stoll(parts.back())};
}

enum class Family { logits, gradient, deconvolution, gradcam, perturbation, delta };

struct Measured {
  Family family = Family::logits;
  Tensor computed;        // of the reference's shape
  bool applies = false;   // false: a method that limpid does not have under this name
  bool sweep = false;     // many evaluations of the network
};

/// What limpid computes for the tensor `name` of `file`. With `measure` false only family, sweep and applies are filled in.
inline Measured compute(const Explainer& explainer, const SafetensorsFile& file, const std::string& name, bool measure = true) {
  const Tensor& input = file.tensors.at("input");
  const Tensor& expected = file.tensors.at(name);
  std::vector<std::int64_t> targets;
  for (const auto& t : split(file.metadata.at("target"), ',')) targets.push_back(std::stoll(t));
  Measured m;
  m.applies = true;

  std::string rest = name;
  const auto take = [&](const std::string& suffix) {  // cuts an option off the end
    if (rest.size() < suffix.size() || !rest.ends_with(suffix)) return false;
    rest.resize(rest.size() - suffix.size());
    return true;
  };
  const bool delta = take(".delta");
  Baseline baseline;
  if (take(".second_class")) {
    const Tensor& logits = file.tensors.at("logits");
    std::int64_t second = -1;
    for (std::int64_t k = 0; k < logits.numel(); ++k)
      if (k != targets[0] && (second < 0 || logits.at(k) > logits.at(second))) second = k;
    targets = {second};
  }
  if (take(".baseline0.5")) baseline = Baseline(0.5);
  if (take(".baseline_swapped")) baseline = Baseline(concatenate_rows(std::vector<Tensor>{input.rows(1, 2), input.rows(0, 1)}));
  const std::string method = rest.substr(0, rest.find('.')), options = rest.find('.') == std::string::npos ? "" : rest.substr(rest.find('.') + 1);
  const auto parts = split(options, '.');
  const auto first_channel = [&](const Tensor& t) {  // perturbation references keep one of three equal channels
    Tensor one(expected.shape(), t.dtype());
    const std::int64_t plane = t.shape()[2] * t.shape()[3];
    dispatch(t.dtype(), [&](auto tag) {
      using T = decltype(tag);
      for (std::int64_t n = 0; n < t.shape()[0]; ++n) std::copy_n(t.data<T>() + n * t.shape()[1] * plane, plane, one.data<T>() + n * plane);
    });
    return one;
  };
  const auto neuron = [&](const std::string& layer, const std::string& text) {  // c10y3x2
    Target t;
    t.layer = layer;
    const auto y = text.find('y'), x = text.find('x');
    t.neuron = {std::stoll(text.substr(1, y - 1)), std::stoll(text.substr(y + 1, x - y - 1)), std::stoll(text.substr(x + 1))};
    return t;
  };
  const auto integrate = [&](Target target, const std::string& rule, const std::string& steps) {
    IntegratedGradientsOptions o{std::move(target), baseline, std::stoi(steps), rule, true, delta};
    const Attribution a = integrated_gradients(explainer, input, o);
    return delta ? Tensor::from<double>(expected.shape(), a.convergence_delta) : a.attributions;
  };

  m.family = Family::gradient;
  if (method == "logits") {
    m.family = Family::logits;
    if (measure) m.computed = explainer.logits(input);
  } else if (method == "saliency") {
    if (measure) m.computed = saliency(explainer, input, {targets}).attributions;
  } else if (method == "input_x_gradient") {
    if (measure) m.computed = input_x_gradient(explainer, input, {targets}).attributions;
  } else if (method == "ig") {
    m.sweep = true;
    if (delta) m.family = Family::delta;
    if (measure) m.computed = integrate(targets, parts[0], parts[1]);
  } else if (method == "guided_backprop") {
    if (measure) m.computed = guided_backprop(explainer, input, {targets}).attributions;
  } else if (method == "deconvolution") {
    m.family = Family::deconvolution;
    if (measure) m.computed = deconvolution(explainer, input, {targets}).attributions;
  } else if (method == "gradcam") {
    m.family = Family::gradcam;
    if (measure) m.computed = gradcam(explainer, input, {targets, options}).attributions;
  } else if (method == "guided_gradcam") {
    if (measure) m.computed = guided_gradcam(explainer, input, {targets, options}).attributions;
  } else if (method == "occlusion") {
    m.family = Family::perturbation;
    m.sweep = true;
    const auto [rows, columns] = extents(parts[0]);
    const auto [down, right] = extents(parts[1]);
    if (measure) m.computed = first_channel(occlusion(explainer, input, {targets, {3, rows, columns}, {3, down, right}, baseline}).attributions);
  } else if (method == "feature_ablation") {
    m.family = Family::perturbation;
    m.sweep = true;
    const auto [rows, columns] = extents(options.substr(4));  // gridRxC
    const Shape& s = input.shape();
    if (measure) m.computed = first_channel(feature_ablation(explainer, input, {targets, baseline, grid_feature_mask(s[2], s[3], rows, columns)}).attributions);
  } else if (method == "neuron_gradient") {
    SaliencyOptions o;
    o.target = neuron(options.substr(0, options.rfind('.')), parts.back());
    o.abs = false;
    if (measure) m.computed = saliency(explainer, input, o).attributions;
  } else if (method == "neuron_integrated_gradients") {
    m.sweep = true;
    const std::string selector = parts[parts.size() - 2], layer = options.substr(0, options.find("." + selector));
    if (measure) m.computed = integrate(neuron(layer, selector), "gausslegendre", parts.back());
  } else {
    m.applies = false;
  }
  return m;
}

/// The largest absolute difference over the largest magnitude of the reference.
inline double relative_max_error(const Tensor& a, const Tensor& reference) {
  double worst = 0, scale = 0;
  for (std::int64_t i = 0; i < reference.numel(); ++i) {
    worst = std::max(worst, std::fabs(a.at(i) - reference.at(i)));
    scale = std::max(scale, std::fabs(reference.at(i)));
    if (std::isnan(a.at(i))) return NAN;
  }
  return scale > 0 ? worst / scale : worst;
}

inline double relative_l2_error(const Tensor& a, const Tensor& reference) {
  double off = 0, scale = 0;
  for (std::int64_t i = 0; i < reference.numel(); ++i) {
    off += std::pow(a.at(i) - reference.at(i), 2);
    scale += std::pow(reference.at(i), 2);
  }
  return scale > 0 ? std::sqrt(off / scale) : std::sqrt(off);
}

/// The bound on the relative L2 error of an f32 run (an f32 run of Captum itself stays inside it).
inline double f32_bound(Family family) {
  switch (family) {
    case Family::gradient: return 1e-2;
    case Family::perturbation: return 1e-3;
    default: return 1e-4;
  }
}

}  // namespace limpid::testing
