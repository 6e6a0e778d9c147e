#pragma once
// The start of a hoisted network as a path sees it, found in a graph: path_points -> activation -> max_pool and, on each way back (one a target),
// max_pool_backward -> activation_backward -> weighted_sum. Nothing between is read by anyone else, so a backend may make one step of each and
// store nothing of the points' size.
#include <limpid/runtime/graph.h>

#include <span>
#include <vector>

namespace limpid {

struct PathPool {
  struct WayBack { const Node *pool, *activation, *sum; };
  const Node *activation = nullptr, *pool = nullptr;
  const Node* mask = nullptr;       // of the activation, which the ways back read; null where there is none
  std::vector<WayBack> ways_back;
  bool found() const { return pool != nullptr; }
};

/// What follows `points` (a path_points node), if it is of this kind: pictures, windows of at most 254 points that all meet the picture, the plain
/// rule on the way back; else an empty match. `outputs`: the values that must be kept.
PathPool match_path_pool(const Graph& graph, std::span<const int> outputs, const Node& points);

}  // namespace limpid
