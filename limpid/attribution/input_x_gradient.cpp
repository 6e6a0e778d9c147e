// Input times gradient (Shrikumar et al. 2016): the score's first-order terms.
#include <limpid/attribution/attribution_graph.h>

namespace limpid {

std::vector<Attribution> input_x_gradient(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const InputXGradientOptions&, const RunOptions& run) {
  AttributionGraph a(explainer, inputs, targets.each, run);
  return a.run(a.scores(a.input), [&](Value score, std::size_t) { return a.input * gradient(score, a.input); });
}

}  // namespace limpid
