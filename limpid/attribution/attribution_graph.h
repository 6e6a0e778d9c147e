#pragma once
// What the methods' pages share: a graph with the input, the baseline and the target bound to tensors, and its run.
#include <limpid/attribution/attribution.h>
#include <limpid/runtime/autodiff.h>
#include <limpid/runtime/ops.h>

#include <optional>

namespace limpid {

class AttributionGraph {
 public:
  /// Checks input and target; classes that the caller left open are predicted first.
  AttributionGraph(const Explainer& explainer, const Tensor& inputs, const Target& target, const RunOptions& run);

  Graph graph;
  Value input;

  /// The baseline as a batch of the input's shape.
  Value bind(const Baseline& baseline);
  /// Numbers that occur once (quadrature nodes, weights), of the kind `coefficient`.
  Value bind(const std::string& name, const std::vector<double>& numbers);
  /// Integers per element of each sample.
  Value bind_indices(const std::string& name, const Tensor& tensor);

  /// The network applied to x, and the score in it: the target's logit, or the neuron.
  struct Scored {
    Activations activations;
    Value score;
  };
  Scored trace(Value x);
  Value score(Value x) { return trace(x).score; }

  /// Compiles, runs, and returns `attributions` and `score` (a batch value: the score of the inputs); `delta` if it is defined.
  Attribution run(Value attributions, Value score, Value delta = {});

 private:
  const Explainer& explainer_;
  const Tensor& inputs_;
  const RunOptions& run_;
  Target target_;
  std::vector<Tensor> bound_;
  Network network_;
  Value target_index_;
};

}  // namespace limpid
