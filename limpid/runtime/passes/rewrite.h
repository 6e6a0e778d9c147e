#pragma once
// The walk that every pass shares: copy the nodes that the outputs need, in order, and let the pass replace some on the way.
#include <limpid/runtime/graph.h>
#include <limpid/runtime/ops.h>

namespace limpid::passes {

class Rewrite {
 public:
  Rewrite(const Graph& source, std::vector<int>& outputs) : source_(source), outputs_(outputs), target_(std::make_unique<Graph>()) {
    target_->share_derived(source);
    map_.resize(static_cast<std::size_t>(source.value_count()));
    uses_.resize(map_.size());
    needed_.resize(source.nodes().size());
    for (int id : outputs) use(id);
    for (auto i = needed_.size(); i-- > 0;)
      if (needed_[i])
        for (int id : source.nodes()[i].inputs) use(id);
    for (int id : source.inputs()) {
      const auto& v = source.value(id);
      at(id) = target_->input(v.name, v.shape, v.rows, v.kind);
    }
  }

  /// `replace(node)`: the value to take instead of the node's first output, or an undefined one to copy the node. If a node of the same op
  /// gave that value, its further outputs are taken too.
  template <class Replace>
  std::unique_ptr<Graph> run(Replace replace) {
    for (std::size_t i = 0; i < needed_.size(); ++i) {
      const Node& node = source_.nodes()[i];
      if (!needed_[i] || node.op == &ops::input) continue;
      Value first = replace(node);
      if (!first.defined()) first = copy(node);
      for (std::size_t k = 0; k < (target_->producer(first.id).op == node.op ? node.outputs.size() : 1); ++k) {
        at(node.outputs[k]) = {target_.get(), first.id + static_cast<int>(k)};
        if (const auto& name = source_.value(node.outputs[k]).name; !name.empty()) target_->name(at(node.outputs[k]), name);
      }
    }
    for (int& id : outputs_) id = at(id).id;
    return std::move(target_);
  }

  Graph& target() { return *target_; }
  const Graph& source() const { return source_; }
  /// The new value in the place of an old one (undefined for an absent input).
  Value mapped(int old) const { return old < 0 ? Value{} : map_[static_cast<std::size_t>(old)]; }
  Value mapped_input(const Node& node, int i) const { return node.has_input(i) ? mapped(node.inputs[static_cast<std::size_t>(i)]) : Value{}; }
  int uses(int old) const { return uses_[static_cast<std::size_t>(old)]; }

  /// The producer of a node's input i if it is `op` and nothing else reads the value; else null.
  const Node* sole_producer(const Node& node, int i, const OpDef& op) const {
    if (!node.has_input(i)) return nullptr;
    const int id = node.inputs[static_cast<std::size_t>(i)];
    const Node& producer = source_.producer(id);
    return producer.op == &op && uses(id) == 1 && producer.outputs[0] == id ? &producer : nullptr;
  }

  /// The node as it is, on the new inputs; its first output.
  Value copy(const Node& node) {
    if (node.op == &ops::constant) return target_->constant(node.as<ConstantAttributes>().tensor);
    std::vector<Value> inputs;
    for (int id : node.inputs) inputs.push_back(mapped(id));
    return target_->append(*node.op, inputs, node.attributes);
  }

 private:
  void use(int id) {
    if (id < 0) return;
    ++uses_[static_cast<std::size_t>(id)];
    needed_[static_cast<std::size_t>(source_.value(id).node)] = true;
  }
  Value& at(int id) { return map_[static_cast<std::size_t>(id)]; }

  const Graph& source_;
  std::vector<int>& outputs_;
  std::unique_ptr<Graph> target_;
  std::vector<Value> map_;
  std::vector<int> uses_;
  std::vector<bool> needed_;
};

}  // namespace limpid::passes
