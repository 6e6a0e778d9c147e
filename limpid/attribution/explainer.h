#pragma once
// A model on a device: what every attribution method takes. Const and shared by threads; work that repeats compiles once.
#include <limpid/nn/model.h>
#include <limpid/runtime/executable.h>

#include <variant>

namespace limpid {

struct Prediction {
  std::int64_t index;
  std::string label;
  double probability;
};

class Explainer {
 public:
  explicit Explainer(std::shared_ptr<const Model> model, CompileOptions options = {}) : model_(std::move(model)), options_(std::move(options)) {}

  const Model& model() const { return *model_; }
  const CompileOptions& options() const { return options_; }
  CompileCache& cache() const { return cache_; }

  /// inputs [N,3,H,W] f32 or f64 -> logits [N,classes].
  Tensor logits(const Tensor& inputs, const RunOptions& run = {}) const;
  /// The most probable classes of each sample, best first.
  std::vector<std::vector<Prediction>> classify(const Tensor& inputs, int top = 5, const RunOptions& run = {}) const;

 private:
  std::shared_ptr<const Model> model_;
  CompileOptions options_;
  mutable CompileCache cache_;
};

}  // namespace limpid
