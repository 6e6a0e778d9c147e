#pragma once
// A frozen computation: a list of nodes in topological order over named values. Shapes are those of one row; how many rows a
// value has (one, the batch N, or N times the sweep S) is its `rows`. Graphs only grow; passes write new ones.
#include <limpid/runtime/attributes.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace limpid {

class Graph;
struct Node;

/// How often a value occurs: once; per sample; per sample and point of the sweep (row = sample * S + point).
enum class Rows : std::uint8_t { one, batch, sweep };

/// real: computed in the executable's precision. index: integers (targets, feature groups as i64; pool taps as the backend likes).
/// coefficient: f64 in host memory whatever the precision (path nodes and weights).
enum class Kind : std::uint8_t { real, index, coefficient };

/// A handle to a value of a graph; the graph must outlive it.
struct Value {
  Graph* graph = nullptr;
  int id = -1;
  bool defined() const { return id >= 0; }
  const Shape& shape() const;
  Rows rows() const;
};

struct ValueType {
  Shape shape;  // of one row
  Rows rows = Rows::batch;
  Kind kind = Kind::real;
};

/// Everything a reference kernel sees. Absent optional inputs are null.
struct KernelCall {
  const Graph& graph;
  const Node& node;
  std::span<const void* const> in;
  std::span<void* const> out;
  DType real;              // f32 or f64
  std::int64_t rows;       // rows to compute: of the output, or of the sweep for a reducer
  std::int64_t first_row;  // the flat index of the first of them, in a sweep
  std::int64_t sweep;      // S; 0 outside the sweep

  template <class T> const T* input(int i) const { return static_cast<const T*>(in[static_cast<std::size_t>(i)]); }
  template <class T> T* output(int i = 0) const { return static_cast<T*>(out[static_cast<std::size_t>(i)]); }
  const Shape& in_shape(int i) const;
  const Shape& out_shape(int i = 0) const;
  /// The row of input i (a batch or single value) that belongs to row r of the call.
  std::int64_t row_of(int i, std::int64_t r) const;
  template <class A> const A& attributes() const;
};

/// An operation: its shape rule, its gradient rule and its reference kernel. One object an op, compared by address.
struct OpDef {
  std::string_view name;
  /// The types of the outputs, or an Error that names op, argument and shapes.
  std::vector<ValueType> (*infer)(const Graph&, const Node&);
  /// The gradient of input `which`, given that of output 0. Null: not differentiable.
  Value (*gradient)(Graph&, const Node&, Value dy, int which) = nullptr;
  void (*reference)(const KernelCall&) = nullptr;
  bool reducer = false;  // reads sweep rows chunk by chunk into a batch value that starts as zero
  std::int64_t (*sweep)(const Graph&, const Node&) = nullptr;  // a source op: the S it gives the sweep axis
};

struct Node {
  const OpDef* op = nullptr;
  std::vector<int> inputs;   // value ids; -1: an optional input that is absent
  std::vector<int> outputs;  // value ids
  Attributes attributes;

  template <class A> const A& as() const { return std::get<A>(attributes); }
  bool has_input(int i) const { return i < static_cast<int>(inputs.size()) && inputs[static_cast<std::size_t>(i)] >= 0; }
};

struct ValueInfo : ValueType {
  int node = -1;  // producer
  std::string name;
};

/// Tensors derived from constants (folded weights), computed once and shared by every graph made from the same model.
class DerivedConstants {
 public:
  /// The tensor that `compute` makes of `parts` in the way that `what` names; the parts are kept alive, so their addresses identify them.
  Tensor get(const std::string& what, const std::vector<Tensor>& parts, const std::function<Tensor()>& compute);

 private:
  struct Entry {
    Tensor result;
    std::vector<Tensor> parts;
  };
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

class Graph {
 public:
  Graph() : derived_(std::make_shared<DerivedConstants>()) {}

  Value input(std::string name, Shape row_shape, Rows rows = Rows::batch, Kind kind = Kind::real);
  Value constant(Tensor tensor, std::string name = {});
  /// Appends a node; returns its first output. The op's shape rule checks the inputs.
  Value append(const OpDef& op, std::span<const Value> inputs, Attributes attributes = NoAttributes{});
  Value append(const OpDef& op, std::initializer_list<Value> inputs, Attributes attributes = NoAttributes{}) {
    return append(op, std::span<const Value>(inputs.begin(), inputs.size()), std::move(attributes));
  }

  /// Names a value (again, under one more name). The first name is the one printed.
  void name(Value value, const std::string& name);
  /// The value of that name; throws not_found with near names.
  Value at(std::string_view name);
  bool has(std::string_view name) const { return names_.count(std::string(name)) != 0; }
  const std::map<std::string, int>& names() const { return names_; }

  const std::deque<Node>& nodes() const { return nodes_; }
  const Node& node(int id) const { return nodes_[static_cast<std::size_t>(id)]; }
  const ValueInfo& value(int id) const { return values_[static_cast<std::size_t>(id)]; }
  int value_count() const { return static_cast<int>(values_.size()); }
  const Node& producer(int value_id) const { return node(value(value_id).node); }
  const std::vector<int>& inputs() const { return inputs_; }  // value ids, in order of declaration
  bool is_constant(int value_id) const;
  const Tensor& constant_tensor(int value_id) const;
  std::int64_t sweep() const { return sweep_; }  // S; 0 without a sweep
  Value handle(int value_id) { return {this, value_id}; }
  DerivedConstants& derived() const { return *derived_; }
  void share_derived(const Graph& other) { derived_ = other.derived_; }

  /// One line a node: op, attributes, inputs, outputs with shapes. Equal texts compute equal results.
  std::string to_string() const;

  Graph(const Graph&) = delete;  // values point at their graph
  Graph& operator=(const Graph&) = delete;

 private:
  std::deque<Node> nodes_;
  std::deque<ValueInfo> values_;
  std::vector<int> inputs_;
  std::map<std::string, int> names_;
  std::int64_t sweep_ = 0;
  std::shared_ptr<DerivedConstants> derived_;
};

/// Copies into `target` every node of `source` that `outputs` need, with the given source values replaced by target values.
/// Constants are shared. Returns for each source value id its target value (undefined where it was not needed).
std::vector<Value> copy_into(Graph& target, const Graph& source, const std::unordered_map<int, Value>& replace, std::span<const int> outputs);

inline const Shape& Value::shape() const { return graph->value(id).shape; }
inline Rows Value::rows() const { return graph->value(id).rows; }
inline const Shape& KernelCall::in_shape(int i) const { return graph.value(node.inputs[static_cast<std::size_t>(i)]).shape; }
inline const Shape& KernelCall::out_shape(int i) const { return graph.value(node.outputs[static_cast<std::size_t>(i)]).shape; }
template <class A> const A& KernelCall::attributes() const { return node.as<A>(); }
inline std::int64_t KernelCall::row_of(int i, std::int64_t r) const {
  const Rows own = graph.value(node.inputs[static_cast<std::size_t>(i)]).rows;
  if (own == Rows::one) return 0;
  if (own == Rows::sweep || sweep == 0) return r;  // in step with the call
  return (first_row + r) / sweep;
}

}  // namespace limpid
