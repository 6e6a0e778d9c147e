#include "verify_checks.h"

#include "methods.h"

#include <algorithm>
#include <cmath>
#include <functional>

using namespace limpid;

namespace {

/// A [1,3,size,size] picture of waves: smooth like a photograph, the same on every machine.
Tensor waves(std::int64_t size, double phase = 0) {
  Tensor t(Shape{1, 3, size, size}, DType::f64);
  double* out = t.data<double>();
  for (std::int64_t i = 0; i < t.numel(); ++i) {
    const auto c = static_cast<double>(i / (size * size)), y = static_cast<double>(i / size % size), x = static_cast<double>(i % size);
    out[i] = std::sin(0.31 * x + 0.17 * y + c + phase) + std::sin(0.07 * x * (c + 1) - 0.41 * y + 2 * phase);
  }
  return t;
}

double norm_of_difference(const Tensor& a, const Tensor& b) {
  double total = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) total += (a.at(i) - b.at(i)) * (a.at(i) - b.at(i));
  return std::sqrt(total);
}

double relative_error(const Tensor& computed, const Tensor& expected) {
  return norm_of_difference(computed, expected) / norm_of_difference(expected, Tensor(expected.shape(), DType::f64));
}

CompileOptions reference_f64() {
  CompileOptions o;
  o.device = "reference";
  o.precision = Precision::f64;
  return o;
}

CompileOptions without_passes(CompileOptions o) {
  o.passes = {false, false, false, false, false, false, false, false, false};
  static_assert(sizeof(PassOptions) == 9, "a switch is missing above");
  return o;
}

/// How far a method's result may lie from the exact one, as a share of its size. ReLUs that are near zero switch under rounding, so that
/// gradients err more than scores do.
double tolerance_of(Precision precision) {
  switch (precision) {
    case Precision::f64: return 1e-9;
    case Precision::automatic:
    case Precision::f32: return 1e-3;
    case Precision::tf32:
    case Precision::f16: return 0.1;
    case Precision::bf16: return 0.3;
  }
  return 0;
}

class Checks {
 public:
  Checks(const CompileOptions& options, const RunOptions& run)
      : options_(options),
        run_(run),
        model_(Model::load("resnet18_imagenette")),
        device_(model_, options),
        device_plain_(model_, without_passes(options)),
        exact_(model_, without_passes(reference_f64())) {}

  std::vector<Check> run() {
    finite_differences();
    gradient_on_the_device();
    completeness();
    for (const auto& method : attribution_methods()) fused_against_plain(method);
    return std::move(checks_);
  }

 private:
  RunOptions quiet() const { return {{}, run_.cancel}; }

  void add(std::string name, double error, double tolerance) {
    checks_.push_back({std::move(name), error, tolerance});
    if (run_.progress) run_.progress(static_cast<double>(checks_.size()) / static_cast<double>(3 + 2 * attribution_methods().size()));
  }

  /// The slope of the score along one direction, by the gradient and by central differences.
  void finite_differences() {
    const Tensor x = waves(32), direction = waves(32, 1);
    const double step = 1e-6;
    const auto score = [&](double along) {
      Tensor moved = x.clone();
      for (std::int64_t i = 0; i < x.numel(); ++i) moved.data<double>()[i] += along * direction.at(i);
      return exact_.logits(moved, quiet()).at(target);
    };
    const Tensor slopes = saliency(exact_, x, {Target(target), false}, quiet()).attributions;
    double analytic = 0;
    for (std::int64_t i = 0; i < x.numel(); ++i) analytic += slopes.at(i) * direction.at(i);
    const double numeric = (score(step) - score(-step)) / (2 * step);
    add("gradient against finite differences (reference, f64)", std::abs(analytic - numeric) / std::abs(numeric), 1e-5);
  }

  void gradient_on_the_device() {
    const Tensor x = waves(64);
    const SaliencyOptions o{Target(target), false};
    add("gradient against reference f64", relative_error(saliency(device_, x, o, quiet()).attributions, saliency(exact_, x, o, quiet()).attributions),
        tolerance_of(options_.precision));
  }

  /// The scores of integrated gradients sum to F(input) - F(baseline), computed here by two calls of their own.
  void completeness() {
    const Tensor x = waves(32);
    IntegratedGradientsOptions o;
    o.target = Target(target);
    o.n_steps = 100;
    const Tensor scores = integrated_gradients(device_, x, o, quiet()).attributions;
    double sum = 0;
    for (std::int64_t i = 0; i < scores.numel(); ++i) sum += scores.at(i);
    const double difference = device_.logits(x, quiet()).at(target) - device_.logits(Tensor(x.shape(), DType::f64), quiet()).at(target);
    add("completeness of integrated gradients", std::abs(sum - difference) / std::abs(difference), 0.02);
  }

  void fused_against_plain(const std::string& method) {
    const Tensor x = waves(32);
    MethodOptions o;
    o.targets = {Target(target)};
    o.layer = method == "gradcam" || method == "guided_gradcam" ? "layer3" : "";  // [256,2,2] here; layer4 has no extent left
    o.steps = 3;
    o.window = {16, 16};
    o.stride = {16, 8};
    o.grid = {2, 2};
    const Tensor fused = attribute(device_, method, x, o, quiet()).front().attributions;
    const Tensor plain = attribute(device_plain_, method, x, o, quiet()).front().attributions;
    const Tensor exact = attribute(exact_, method, x, o, quiet()).front().attributions;
    add(method + ", passes on against off", relative_error(fused, plain), tolerance_of(options_.precision));
    add(method + " against reference f64", relative_error(fused, exact), tolerance_of(options_.precision));
  }

  static constexpr std::int64_t target = 3;
  const CompileOptions options_;
  const RunOptions& run_;
  const std::shared_ptr<const Model> model_;
  const Explainer device_, device_plain_, exact_;
  std::vector<Check> checks_;
};

}  // namespace

std::vector<Check> run_checks(const CompileOptions& options, const RunOptions& run) { return Checks(options, run).run(); }
