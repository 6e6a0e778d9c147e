#pragma once
// What the op files share: checks of shape rules and the f32/f64 dispatch of reference kernels.
#include <limpid/runtime/clones.h>
#include <limpid/runtime/error.h>
#include <limpid/runtime/ops.h>
#include <limpid/runtime/parallel.h>

#include <algorithm>

namespace limpid::ops {

inline const ValueInfo& in(const Graph& g, const Node& n, int i) {
  require(n.has_input(i), n.op->name, ": input ", i, " is missing.");
  return g.value(n.inputs[static_cast<std::size_t>(i)]);
}

inline const Shape& in_shape(const Graph& g, const Node& n, int i, int rank) {
  const auto& v = in(g, n, i);
  require(v.shape.rank() == rank, n.op->name, ": input ", i, " has the shape ", v.shape, "; ", rank, " extents are needed.");
  return v.shape;
}

inline void check_once(const Graph& g, const Node& n, int i, const Shape& shape) {
  const auto& v = in(g, n, i);
  require(v.rows == Rows::one && v.shape == shape, n.op->name, ": input ", i, " must be one ", shape, " for all rows; it is ", v.shape, ".");
}

inline void check_same(const Graph& g, const Node& n, int i, int j) {
  const auto &a = in(g, n, i), &b = in(g, n, j);
  require(a.shape == b.shape && a.rows == b.rows, n.op->name, ": the inputs differ: ", a.shape, " and ", b.shape, a.rows == b.rows ? "." : ", and in how often they occur.");
}

inline void check_kind(const Graph& g, const Node& n, int i, Kind kind) {
  require(in(g, n, i).kind == kind, n.op->name, ": input ", i, " is of the wrong kind (real, index and coefficient values do not mix).");
}

inline void check_regions(const Node& n, const Regions& r, std::int64_t sweep) {
  require(r.defined() && r.rows > 0 && r.columns > 0 && static_cast<std::int64_t>(r.origins->size()) == sweep, n.op->name, ": one region per point of the sweep is needed.");
}
inline bool inside(const Regions& r, std::int64_t rows, std::int64_t columns) {
  return std::all_of(r.origins->begin(), r.origins->end(), [&](const auto& o) { return o[0] >= 0 && o[1] >= 0 && o[0] + r.rows <= rows && o[1] + r.columns <= columns; });
}
/// Where the region of a point begins; without regions, at the picture's corner.
inline std::array<std::int64_t, 2> origin(const Regions& r, std::int64_t point) {
  if (!r.defined()) return {0, 0};
  const auto& o = (*r.origins)[static_cast<std::size_t>(point)];
  return {o[0], o[1]};
}

/// Input value i of a node as a handle (undefined when absent).
inline Value input_of(Graph& g, const Node& n, int i) { return n.has_input(i) ? Value{&g, n.inputs[static_cast<std::size_t>(i)]} : Value{}; }
inline Value output_of(Graph& g, const Node& n, int i = 0) { return {&g, n.outputs[static_cast<std::size_t>(i)]}; }

inline ValueType like(const ValueInfo& v) { return {v.shape, v.rows, v.kind}; }

/// The kernel template f<T> for the call's precision.
#define LIMPID_KERNEL(function) \
  [](const KernelCall& call) { call.real == DType::f64 ? function<double>(call) : function<float>(call); }

}  // namespace limpid::ops
