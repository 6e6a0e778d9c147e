#include <limpid/runtime/autodiff.h>
#include <limpid/runtime/ops.h>

namespace limpid {
namespace {

template <ReluRule rule>
Value reverse_relu(Graph& g, const Node& n, Value dy, int) {
  return activation_backward(g.handle(n.outputs[0]), dy, n.as<ActivationAttributes>().activation, rule);
}

}  // namespace

const RuleBook& RuleBook::plain() {
  static const RuleBook book{"plain", {}};
  return book;
}
const RuleBook& RuleBook::guided() {
  static const RuleBook book{"guided", {{&ops::activation, reverse_relu<ReluRule::guided>}}};
  return book;
}
const RuleBook& RuleBook::deconvolution() {
  static const RuleBook book{"deconvolution", {{&ops::activation, reverse_relu<ReluRule::deconvolution>}}};
  return book;
}

std::vector<Value> gradient(Value y, std::span<const Value> wrt, const RuleBook& book) {
  Graph& g = *y.graph;
  require(y.shape().rank() == 0, "gradient: one scalar a row is differentiated; the value has the shape ", y.shape(), " (select a target first).");

  // Which values lie between some wrt and y: those that depend on a wrt, up to y's own node.
  const int last = g.value(y.id).node;
  std::vector<bool> depends(static_cast<std::size_t>(g.value_count()), false);
  for (const Value& v : wrt) {
    require(v.graph == &g, "gradient: the value to differentiate by belongs to another graph.");
    depends[static_cast<std::size_t>(v.id)] = true;
  }
  for (int i = 0; i <= last; ++i)
    for (int in : g.node(i).inputs)
      if (in >= 0 && depends[static_cast<std::size_t>(in)])
        for (int out : g.node(i).outputs) depends[static_cast<std::size_t>(out)] = true;

  std::vector<Value> grads(depends.size());
  grads[static_cast<std::size_t>(y.id)] = fill_like(y, 1);
  for (int i = last; i >= 0; --i) {
    const Node& node = g.node(i);  // nodes never move
    if (node.outputs.empty()) continue;
    const Value dy = grads[static_cast<std::size_t>(node.outputs[0])];
    if (!dy.defined()) continue;
    for (int k = 0; k < static_cast<int>(node.inputs.size()); ++k) {
      const int in = node.inputs[static_cast<std::size_t>(k)];
      if (in < 0 || !depends[static_cast<std::size_t>(in)]) continue;
      auto rule = node.op->gradient;
      for (const auto& [op, special] : book.rules)
        if (op == node.op) rule = special;
      if (!rule) fail(ErrorCode::unsupported, "gradient: ", node.op->name, " has no gradient rule.");
      const Value dx = rule(g, node, dy, k);
      Value& total = grads[static_cast<std::size_t>(in)];
      total = total.defined() ? add(total, dx) : dx;
    }
  }

  std::vector<Value> result;
  for (const Value& v : wrt) {
    const Value found = grads[static_cast<std::size_t>(v.id)];
    require(found.defined(), "gradient: the score does not depend on '", g.value(v.id).name, "'.");
    result.push_back(found);
  }
  return result;
}

}  // namespace limpid
