// Guided backpropagation (Springenberg et al. 2015) and deconvolution (Zeiler & Fergus 2014): the gradient under other rules for
// the ReLU. A rule applies to every use of a ReLU, reused ones included.
#include <limpid/attribution/attribution_graph.h>

namespace limpid {
namespace {

Attribution modified_gradient(const Explainer& explainer, const Tensor& inputs, const ModifiedGradientOptions& options, const RuleBook& rules, const RunOptions& run) {
  AttributionGraph a(explainer, inputs, options.target, run);
  const Value score = a.score(a.input);
  return a.run(gradient(score, a.input, rules), score);
}

}  // namespace

Attribution guided_backprop(const Explainer& explainer, const Tensor& inputs, const ModifiedGradientOptions& options, const RunOptions& run) {
  return modified_gradient(explainer, inputs, options, RuleBook::guided(), run);
}

Attribution deconvolution(const Explainer& explainer, const Tensor& inputs, const ModifiedGradientOptions& options, const RunOptions& run) {
  return modified_gradient(explainer, inputs, options, RuleBook::deconvolution(), run);
}

}  // namespace limpid
