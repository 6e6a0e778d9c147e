#pragma once
// Reverse mode as a graph transformation: backward nodes are appended to the same graph, and only those that the asked-for
// gradients need.
#include <limpid/runtime/graph.h>

#include <vector>

namespace limpid {

/// How nodes are reversed: by each op's own gradient rule, except for the ops listed. A modified-gradient method is a table of rules.
struct RuleBook {
  using Rule = Value (*)(Graph&, const Node&, Value dy, int which);
  std::string_view name;
  std::vector<std::pair<const OpDef*, Rule>> rules;

  static const RuleBook& plain();
  /// Springenberg et al. 2015: a ReLU passes only positive gradients through active units.
  static const RuleBook& guided();
  /// Zeiler & Fergus 2014: a ReLU passes only positive gradients, whatever it did going forward.
  static const RuleBook& deconvolution();
};

/// d y / d wrt for each wrt, row by row. y: one scalar a row ([]); wrt: values of the same graph that y depends on, inputs or layers.
/// Throws invalid_argument when y is not scalar or does not depend on a wrt, unsupported when an op between them has no gradient.
std::vector<Value> gradient(Value y, std::span<const Value> wrt, const RuleBook& rules = RuleBook::plain());
inline Value gradient(Value y, Value wrt, const RuleBook& rules = RuleBook::plain()) { return gradient(y, std::span<const Value>(&wrt, 1), rules).front(); }

}  // namespace limpid
