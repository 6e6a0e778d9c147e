#include <limpid/runtime/ops.h>
#include <limpid/runtime/path_pool.h>

#include <algorithm>

namespace limpid {
namespace {

struct Readers {
  Readers(const Graph& graph, std::span<const int> kept) : of(static_cast<std::size_t>(graph.value_count())), outputs(kept) {
    for (const Node& node : graph.nodes())
      for (int id : node.inputs)
        if (id >= 0) of[static_cast<std::size_t>(id)].push_back(&node);
  }
  bool is_output(int id) const { return std::find(outputs.begin(), outputs.end(), id) != outputs.end(); }
  const std::vector<const Node*>& operator()(int id) const { return of[static_cast<std::size_t>(id)]; }
  /// The one node that reads the value if its op is `op`; else null.
  const Node* sole(int id, const OpDef& op) const { return (*this)(id).size() == 1 && !is_output(id) && (*this)(id).front()->op == &op ? (*this)(id).front() : nullptr; }

  std::vector<std::vector<const Node*>> of;
  std::span<const int> outputs;
};

/// The way back that starts at `pool_back`; without a sum if it is of another kind.
PathPool::WayBack way_back(const Readers& readers, const Node& pool_back, const Node* mask) {
  if (pool_back.op != &ops::max_pool_backward || !mask) return {};
  const Node* unit = readers.sole(pool_back.outputs[0], ops::activation_backward);
  if (!unit || unit->has_input(2) || unit->inputs[0] != mask->outputs[0] || unit->as<ActivationAttributes>().rule != ReluRule::plain) return {};
  return {&pool_back, unit, readers.sole(unit->outputs[0], ops::weighted_sum)};
}

bool meets_the_picture(const Axis& a) { return a.begin < a.kernel && a.end < a.kernel; }

}  // namespace

PathPool match_path_pool(const Graph& graph, std::span<const int> outputs, const Node& points) {
  const Readers readers(graph, outputs);
  PathPool m;
  m.activation = readers.sole(points.outputs[0], ops::activation);
  if (!m.activation || graph.value(points.outputs[0]).shape.rank() != 3 || readers.is_output(m.activation->outputs[0])) return {};
  for (const Node* reader : readers(m.activation->outputs[0])) {
    const Node*& slot = reader->op == &ops::max_pool ? m.pool : m.mask;
    if (slot || (reader->op != &ops::max_pool && reader->op != &ops::relu_mask)) return {};
    slot = reader;
  }
  if (!m.pool || (m.mask && m.mask->as<ActivationAttributes>().activation != m.activation->as<ActivationAttributes>().activation)) return {};
  const auto& a = m.pool->as<PoolAttributes>();
  if (a.rows.kernel * a.columns.kernel > 254 || !meets_the_picture(a.rows) || !meets_the_picture(a.columns)) return {};
  for (const Node* reader : readers(m.pool->outputs[1])) {
    m.ways_back.push_back(way_back(readers, *reader, m.mask));
    if (!m.ways_back.back().sum) return {};
  }
  if (m.mask && readers(m.mask->outputs[0]).size() != m.ways_back.size()) return {};
  return m;
}

}  // namespace limpid
