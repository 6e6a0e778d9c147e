// Saliency: how fast the score changes with each input element (Simonyan, Vedaldi, Zisserman 2014, section 3).
#include <limpid/attribution/attribution_graph.h>

namespace limpid {

Attribution saliency(const Explainer& explainer, const Tensor& inputs, const SaliencyOptions& options, const RunOptions& run) {
  AttributionGraph a(explainer, inputs, options.target, run);
  const Value score = a.score(a.input);
  const Value slope = gradient(score, a.input);
  return a.run(options.abs ? abs(slope) : slope, score);
}

}  // namespace limpid
