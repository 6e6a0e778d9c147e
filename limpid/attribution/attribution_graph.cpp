#include <limpid/attribution/attribution_graph.h>
#include <limpid/attribution/baseline.h>

#include <algorithm>
#include <chrono>

namespace limpid {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); }

/// The classes of each sample: as given, or the ones that score highest.
std::vector<std::int64_t> resolve_classes(const Explainer& explainer, const Tensor& inputs, const Target& target, const RunOptions& run) {
  const std::int64_t samples = inputs.shape()[0];
  std::vector<std::int64_t> classes = target.classes;
  if (classes.empty()) {
    const RunOptions quiet{{}, run.cancel};
    for (const auto& best : explainer.classify(inputs, 1, quiet)) classes.push_back(best.front().index);
  }
  if (classes.size() == 1) classes.resize(static_cast<std::size_t>(samples), classes.front());
  require(static_cast<std::int64_t>(classes.size()) == samples, "There are ", target.classes.size(), " targets for ", samples, " samples; give one, or one per sample.");
  for (auto c : classes) require(0 <= c && c < explainer.model().classes(), "The target ", c, " is out of range; this model has the classes 0 to ", explainer.model().classes() - 1, ".");
  return classes;
}

/// The flat position of the target's neuron in its layer.
std::int64_t neuron_index(const Network& network, const Target& target) {
  const Shape layer = network.upto(target.layer).output_shape();
  const auto& n = target.neuron;
  const bool inside = layer.rank() == 3 ? n[0] < layer[0] && n[1] < layer[1] && n[2] < layer[2] : layer.rank() == 1 && n[0] < layer[0] && n[1] == 0 && n[2] == 0;
  require(inside && n[0] >= 0 && n[1] >= 0 && n[2] >= 0, "The neuron ", n[0], ",", n[1], ",", n[2], " lies outside the layer '", target.layer, "' of shape ", layer, ".");
  return layer.rank() == 3 ? (n[0] * layer[1] + n[1]) * layer[2] + n[2] : n[0];
}

const Shape& checked(const Tensor& inputs) {
  require(inputs.defined() && inputs.shape().rank() == 4 && inputs.shape()[0] > 0, "The input has the shape ", inputs.shape(), "; [N, 3, H, W] is needed.");
  return inputs.shape();
}

}  // namespace

AttributionGraph::AttributionGraph(const Explainer& explainer, const Tensor& inputs, std::span<const Target> targets, const RunOptions& run)
    : explainer_(explainer), inputs_(inputs), run_(run), targets_(targets.begin(), targets.end()), network_(explainer.model().network(checked(inputs).inner())) {
  require(!targets_.empty(), "There is no target to explain; name one.");
  input = graph.input("input", inputs.shape().inner());
  bound_.push_back(inputs);
  for (Target& target : targets_) {
    if (target.layer.empty()) target.classes = resolve_classes(explainer, inputs, target, run);
    else target.classes.assign(static_cast<std::size_t>(inputs.shape()[0]), neuron_index(network_, target));
    target_indices_.push_back(graph.input("target" + (target_indices_.empty() ? "" : std::to_string(target_indices_.size())), Shape{}, Rows::batch, Kind::index));
    bound_.push_back(Tensor::from<std::int64_t>(Shape{inputs.shape()[0]}, target.classes));
  }
}

Value AttributionGraph::bind(const Baseline& baseline) {
  bound_.push_back(baseline_tensor(baseline, inputs_));
  return graph.input("baseline", inputs_.shape().inner());
}

Value AttributionGraph::bind(const std::string& name, const std::vector<double>& numbers) {
  const Shape shape{static_cast<std::int64_t>(numbers.size())};
  bound_.push_back(Tensor::from<double>(shape, numbers));
  return graph.input(name, shape, Rows::one, Kind::coefficient);
}

Value AttributionGraph::bind_indices(const std::string& name, const Tensor& tensor) {
  bound_.push_back(tensor);
  return graph.input(name, tensor.shape().inner(), Rows::batch, Kind::index);
}

AttributionGraph::Scored AttributionGraph::trace(Value x) {
  Scored s{network_.trace(x), {}};
  for (std::size_t i = 0; i < targets_.size(); ++i) s.scores.push_back(select(targets_[i].layer.empty() ? s.activations.output : s.activations.at(targets_[i].layer), target_indices_[i]));
  return s;
}

std::vector<Attribution> AttributionGraph::run(std::span<const Value> scores, const std::function<Value(Value, std::size_t)>& attribution) {
  std::vector<Value> attributions;
  for (std::size_t i = 0; i < scores.size(); ++i) attributions.push_back(attribution(scores[i], i));
  return run(attributions, scores);
}

std::vector<Attribution> AttributionGraph::run(std::span<const Value> attributions, std::span<const Value> scores, std::span<const Value> deltas) {
  std::vector<Value> outputs(attributions.begin(), attributions.end());
  for (const auto& more : {scores, deltas}) outputs.insert(outputs.end(), more.begin(), more.end());

  const auto start = std::chrono::steady_clock::now();
  const auto executable = explainer_.cache().get(graph, outputs, explainer_.options());
  executable->prepare(inputs_.shape()[0]);
  const double compile_seconds = seconds_since(start);
  const auto begin = std::chrono::steady_clock::now();
  const auto tensors = executable->run(bound_, run_);
  const double run_seconds = seconds_since(begin);

  const auto numbers = [&](const Tensor& t) {
    std::vector<double> v;
    for (std::int64_t i = 0; i < t.numel(); ++i) v.push_back(t.at(i));
    return v;
  };
  const std::size_t count = targets_.size();
  std::vector<Attribution> results(count);
  for (std::size_t i = 0; i < count; ++i) {
    Attribution& result = results[i];
    result.attributions = tensors[i];
    result.scores = numbers(tensors[count + i]);
    if (!deltas.empty()) result.convergence_delta = numbers(tensors[2 * count + i]);
    result.targets = targets_[i].classes;
    if (!targets_[i].layer.empty()) std::fill(result.targets.begin(), result.targets.end(), targets_[i].neuron[0]);
    result.compile_seconds = compile_seconds;
    result.run_seconds = run_seconds;
    result.peak_bytes = executable->peak_bytes();
  }
  return results;
}

}  // namespace limpid
