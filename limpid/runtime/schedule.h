#pragma once
// The order in which a compiled graph runs: a prologue once per batch, the sweep's body once per chunk of rows, an epilogue;
// and how long each value must live in that order.
#include <limpid/runtime/graph.h>

namespace limpid {

enum class Phase { prologue, body, epilogue };

struct Schedule {
  std::vector<int> prologue, body, epilogue;  // node ids; inputs and constants are no steps
  struct Lifetime {
    int first = -1, last = -1;  // steps counted through the three phases, inclusive; -1: never stored
    bool stored() const { return first >= 0; }
  };
  std::vector<Lifetime> lifetimes;  // by value id; constants are not stored here
  int steps() const { return static_cast<int>(prologue.size() + body.size() + epilogue.size()); }
  const std::vector<int>& of(Phase phase) const { return phase == Phase::prologue ? prologue : phase == Phase::body ? body : epilogue; }
  /// The number of the first step of a phase.
  int begin(Phase phase) const { return static_cast<int>(phase == Phase::prologue ? 0 : phase == Phase::body ? prologue.size() : prologue.size() + body.size()); }
};

/// Every node of the graph is taken (run passes::eliminate_dead first); `outputs` live to the end.
Schedule make_schedule(const Graph& graph, std::span<const int> outputs);

/// Bytes that a run needs if every real value takes `element` bytes in plain layout, and every computed integer `index` bytes: what the
/// planner gives for `batch` samples and `chunk` sweep rows.
std::size_t estimate_bytes(const Graph& graph, const Schedule& schedule, std::int64_t batch, std::int64_t chunk, std::size_t element, std::size_t index, bool share);

inline std::int64_t row_count(Rows rows, std::int64_t batch, std::int64_t chunk) { return rows == Rows::one ? 1 : rows == Rows::batch ? batch : chunk; }

}  // namespace limpid
