#include <limpid/runtime/memory_plan.h>
#include <limpid/runtime/ops.h>
#include <limpid/runtime/schedule.h>

#include <algorithm>

namespace limpid {

Schedule make_schedule(const Graph& graph, std::span<const int> outputs) {
  Schedule s;
  std::vector<bool> after(static_cast<std::size_t>(graph.value_count()), false);  // depends on a reducer's result
  for (int i = 0; i < static_cast<int>(graph.nodes().size()); ++i) {
    const Node& node = graph.node(i);
    if (node.op == &ops::input || node.op == &ops::constant) continue;
    const bool late = std::any_of(node.inputs.begin(), node.inputs.end(), [&](int id) { return id >= 0 && after[static_cast<std::size_t>(id)]; });
    const bool in_sweep = node.op->reducer || graph.value(node.outputs[0]).rows == Rows::sweep;
    if (in_sweep && late) fail(ErrorCode::unsupported, node.op->name, ": a sweep cannot start from the result of another sweep in the same graph.");
    (in_sweep ? s.body : late ? s.epilogue : s.prologue).push_back(i);
    for (int id : node.outputs) after[static_cast<std::size_t>(id)] = late || node.op->reducer;
  }

  s.lifetimes.resize(static_cast<std::size_t>(graph.value_count()));
  const auto life = [&](int id) -> Schedule::Lifetime& { return s.lifetimes[static_cast<std::size_t>(id)]; };
  for (int id : graph.inputs()) life(id) = {0, 0};
  const int body_begin = s.begin(Phase::body), body_end = s.begin(Phase::epilogue) - 1;
  int step = 0;
  for (const Phase phase : {Phase::prologue, Phase::body, Phase::epilogue})
    for (int i : s.of(phase)) {
      const Node& node = graph.node(i);
      for (int id : node.inputs) {
        if (id < 0 || graph.is_constant(id)) continue;
        // What the body reads from outside must last until its last iteration.
        life(id).last = std::max(life(id).last, phase == Phase::body && graph.value(id).rows != Rows::sweep ? body_end : step);
      }
      for (int id : node.outputs) life(id) = node.op->reducer ? Schedule::Lifetime{body_begin, body_end} : Schedule::Lifetime{step, step};
      ++step;
    }
  for (int id : outputs)
    if (life(id).stored()) life(id).last = s.steps();
  return s;
}

std::size_t estimate_bytes(const Graph& graph, const Schedule& schedule, std::int64_t batch, std::int64_t chunk, std::size_t element, std::size_t index, bool share) {
  std::vector<BufferRequest> requests;
  for (int id = 0; id < graph.value_count(); ++id) {
    const auto& life = schedule.lifetimes[static_cast<std::size_t>(id)];
    const auto& v = graph.value(id);
    if (!life.stored()) continue;
    const std::size_t size = v.kind == Kind::real ? element : v.kind == Kind::index && graph.producer(id).op != &ops::input ? index : 8;
    requests.push_back({static_cast<std::size_t>(row_count(v.rows, batch, chunk) * v.shape.numel()) * size, life.first, life.last});
  }
  return plan_memory(requests, share).bytes;
}

}  // namespace limpid
