#pragma once
// What the methods' pages share: a graph with the input, the baseline and the targets bound to tensors, and its run. All targets of a call are
// explained in one graph, so that they share the forward pass, its masks and, in a sweep, its variants.
#include <limpid/attribution/attribution.h>
#include <limpid/runtime/autodiff.h>
#include <limpid/runtime/ops.h>

#include <functional>
#include <optional>

namespace limpid {

class AttributionGraph {
 public:
  /// Checks input and targets; classes that the caller left open are predicted first.
  AttributionGraph(const Explainer& explainer, const Tensor& inputs, std::span<const Target> targets, const RunOptions& run);

  Graph graph;
  Value input;

  /// The baseline as a batch of the input's shape.
  Value bind(const Baseline& baseline);
  /// Numbers that occur once (quadrature nodes, weights), of the kind `coefficient`.
  Value bind(const std::string& name, const std::vector<double>& numbers);
  /// Integers per element of each sample.
  Value bind_indices(const std::string& name, const Tensor& tensor);

  /// The network applied to x once, and the score of each target in it: its class's logit, or its neuron.
  struct Scored {
    Activations activations;
    std::vector<Value> scores;
  };
  Scored trace(Value x);
  std::vector<Value> scores(Value x) { return trace(x).scores; }

  /// Compiles, runs, and returns for each target its attributions, its score (a batch value: that of the inputs) and, if there are any, its delta.
  std::vector<Attribution> run(std::span<const Value> attributions, std::span<const Value> scores, std::span<const Value> deltas = {});
  /// The same with `attribution(score, i)` for each target.
  std::vector<Attribution> run(std::span<const Value> scores, const std::function<Value(Value score, std::size_t i)>& attribution);

 private:
  const Explainer& explainer_;
  const Tensor& inputs_;
  const RunOptions& run_;
  std::vector<Target> targets_;
  std::vector<Tensor> bound_;
  Network network_;
  std::vector<Value> target_indices_;
};

}  // namespace limpid
