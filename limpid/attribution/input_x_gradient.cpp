// Input times gradient (Shrikumar et al. 2016): the score's first-order terms.
#include <limpid/attribution/attribution_graph.h>

namespace limpid {

Attribution input_x_gradient(const Explainer& explainer, const Tensor& inputs, const InputXGradientOptions& options, const RunOptions& run) {
  AttributionGraph a(explainer, inputs, options.target, run);
  const Value score = a.score(a.input);
  return a.run(a.input * gradient(score, a.input), score);
}

}  // namespace limpid
