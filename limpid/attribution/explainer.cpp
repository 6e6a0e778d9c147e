#include <limpid/attribution/explainer.h>
#include <limpid/runtime/ops.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace limpid {

Tensor Explainer::logits(const Tensor& inputs, const RunOptions& run) const {
  require(inputs.shape().rank() == 4, "The input has the shape ", inputs.shape(), "; [N, 3, H, W] is needed.");
  Graph graph;
  const Value x = graph.input("input", inputs.shape().inner());
  const Value y = model_->network(x.shape())(x);
  return cache_.get(graph, std::span<const Value>(&y, 1), options_)->run(std::span<const Tensor>(&inputs, 1), run).front();
}

std::vector<std::vector<Prediction>> Explainer::classify(const Tensor& inputs, int top, const RunOptions& run) const {
  const Tensor scores = logits(inputs, run);
  const std::int64_t classes = scores.shape()[1];
  std::vector<std::vector<Prediction>> all;
  for (std::int64_t n = 0; n < scores.shape()[0]; ++n) {
    std::vector<double> p;
    for (std::int64_t k = 0; k < classes; ++k) p.push_back(scores.at(n * classes + k));
    const double highest = *std::max_element(p.begin(), p.end());
    for (double& v : p) v = std::exp(v - highest);
    const double total = std::accumulate(p.begin(), p.end(), 0.0);
    std::vector<std::int64_t> order(p.size());
    std::iota(order.begin(), order.end(), 0);
    const auto count = static_cast<std::ptrdiff_t>(std::clamp<std::int64_t>(top, 1, classes));
    std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](auto a, auto b) { return p[static_cast<std::size_t>(a)] > p[static_cast<std::size_t>(b)]; });
    auto& best = all.emplace_back();
    for (auto it = order.begin(); it != order.begin() + count; ++it) best.push_back({*it, model_->labels()[static_cast<std::size_t>(*it)], p[static_cast<std::size_t>(*it)] / total});
  }
  return all;
}

}  // namespace limpid
