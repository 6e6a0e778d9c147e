// Integrated gradients (Sundararajan, Taly, Yan 2017): the gradient averaged along the straight path from the baseline to the
// input, times their difference. The scores sum to F(input) - F(baseline) up to the quadrature's error.
#include <limpid/attribution/attribution_graph.h>
#include <limpid/attribution/quadrature.h>

namespace limpid {

std::vector<Attribution> integrated_gradients(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const IntegratedGradientsOptions& options, const RunOptions& run) {
  const Quadrature rule = quadrature(options.method, options.n_steps);
  AttributionGraph a(explainer, inputs, targets.each, run);
  const Value baseline = a.bind(options.baselines);
  const Value nodes = a.bind("nodes", rule.nodes), weights = a.bind("weights", rule.weights);

  const Value points = path_points(baseline, a.input, nodes);  // [N,..] -> [N*S,..]
  const auto at_points = a.scores(points), at_input = a.scores(a.input), at_baseline = options.return_convergence_delta ? a.scores(baseline) : std::vector<Value>{};
  std::vector<Value> attributions, deltas;
  for (std::size_t i = 0; i < at_points.size(); ++i) {
    const Value integral = weighted_sum(gradient(at_points[i], points), weights);
    const Value scores = (a.input - baseline) * integral;
    attributions.push_back(options.multiply_by_inputs ? scores : integral);
    if (options.return_convergence_delta) deltas.push_back(sum(scores) - (at_input[i] - at_baseline[i]));
  }
  return a.run(attributions, at_input, deltas);
}

}  // namespace limpid
