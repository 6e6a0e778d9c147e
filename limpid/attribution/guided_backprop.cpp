// Guided backpropagation (Springenberg et al. 2015) and deconvolution (Zeiler & Fergus 2014): the gradient under other rules for
// the ReLU. A rule applies to every use of a ReLU, reused ones included.
#include <limpid/attribution/attribution_graph.h>

namespace limpid {
namespace {

std::vector<Attribution> modified_gradient(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const RuleBook& rules, const RunOptions& run) {
  AttributionGraph a(explainer, inputs, targets.each, run);
  return a.run(a.scores(a.input), [&](Value score, std::size_t) { return gradient(score, a.input, rules); });
}

}  // namespace

std::vector<Attribution> guided_backprop(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const ModifiedGradientOptions&, const RunOptions& run) {
  return modified_gradient(explainer, inputs, targets, RuleBook::guided(), run);
}

std::vector<Attribution> deconvolution(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const ModifiedGradientOptions&, const RunOptions& run) {
  return modified_gradient(explainer, inputs, targets, RuleBook::deconvolution(), run);
}

}  // namespace limpid
