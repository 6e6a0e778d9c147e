// Saliency: how fast the score changes with each input element (Simonyan, Vedaldi, Zisserman 2014, section 3).
#include <limpid/attribution/attribution_graph.h>

namespace limpid {

std::vector<Attribution> saliency(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const SaliencyOptions& options, const RunOptions& run) {
  AttributionGraph a(explainer, inputs, targets.each, run);
  return a.run(a.scores(a.input), [&](Value score, std::size_t) {
    const Value slope = gradient(score, a.input);
    return options.abs ? abs(slope) : slope;
  });
}

}  // namespace limpid
