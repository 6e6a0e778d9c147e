// Integrated gradients (Sundararajan, Taly, Yan 2017): the gradient averaged along the straight path from the baseline to the
// input, times their difference. The scores sum to F(input) - F(baseline) up to the quadrature's error.
#include <limpid/attribution/attribution_graph.h>
#include <limpid/attribution/quadrature.h>

namespace limpid {

Attribution integrated_gradients(const Explainer& explainer, const Tensor& inputs, const IntegratedGradientsOptions& options, const RunOptions& run) {
  const Quadrature rule = quadrature(options.method, options.n_steps);
  AttributionGraph a(explainer, inputs, options.target, run);
  const Value baseline = a.bind(options.baselines);
  const Value nodes = a.bind("nodes", rule.nodes), weights = a.bind("weights", rule.weights);

  const Value points = path_points(baseline, a.input, nodes);  // [N,..] -> [N*S,..]
  const Value integral = weighted_sum(gradient(a.score(points), points), weights);
  const Value scores = (a.input - baseline) * integral;

  const Value at_input = a.score(a.input);
  const Value delta = options.return_convergence_delta ? sum(scores) - (at_input - a.score(baseline)) : Value{};
  return a.run(options.multiply_by_inputs ? scores : integral, at_input, delta);
}

}  // namespace limpid
