#include <limpid/runtime/graph.h>
#include <limpid/runtime/near_names.h>
#include <limpid/runtime/ops.h>

#include <algorithm>
#include <sstream>

namespace limpid {

Tensor DerivedConstants::get(const std::string& what, const std::vector<Tensor>& parts, const std::function<Tensor()>& compute) {
  std::string key = what;
  for (const auto& t : parts) key += ' ' + std::to_string(reinterpret_cast<std::uintptr_t>(t.raw()));
  const std::lock_guard lock(mutex_);
  if (const auto it = entries_.find(key); it != entries_.end()) return it->second.result;
  return entries_.emplace(key, Entry{compute(), parts}).first->second.result;
}

Value Graph::input(std::string name, Shape row_shape, Rows rows, Kind kind) {
  require(rows != Rows::sweep, "Graph::input: '", name, "' cannot be a sweep; make one with a source op.");
  const int node_id = static_cast<int>(nodes_.size()), id = value_count();
  nodes_.push_back({&ops::input, {}, {id}, NoAttributes{}});
  ValueInfo info;
  info.shape = std::move(row_shape);
  info.rows = rows;
  info.kind = kind;
  info.node = node_id;
  values_.push_back(std::move(info));
  inputs_.push_back(id);
  this->name({this, id}, name);
  return {this, id};
}

Value Graph::constant(Tensor tensor, std::string name) {
  const int node_id = static_cast<int>(nodes_.size()), id = value_count();
  ValueInfo info;
  info.shape = tensor.shape();
  info.rows = Rows::one;
  info.kind = tensor.dtype() == DType::i64 || tensor.dtype() == DType::i32 || tensor.dtype() == DType::u8 ? Kind::index : Kind::real;
  info.node = node_id;
  nodes_.push_back({&ops::constant, {}, {id}, ConstantAttributes{std::move(tensor)}});
  values_.push_back(std::move(info));
  if (!name.empty()) this->name({this, id}, name);
  return {this, id};
}

Value Graph::append(const OpDef& op, std::span<const Value> inputs, Attributes attributes) {
  Node node;
  node.op = &op;
  node.attributes = std::move(attributes);
  for (const Value& v : inputs) {
    require(!v.defined() || v.graph == this, op.name, ": an input belongs to another graph.");
    node.inputs.push_back(v.id);
  }
  while (!node.inputs.empty() && node.inputs.back() < 0) node.inputs.pop_back();
  const auto types = op.infer(*this, node);
  if (op.sweep) {
    const std::int64_t sweep = op.sweep(*this, node);
    require(sweep_ == 0 || sweep_ == sweep, op.name, ": the graph already sweeps over ", sweep_, " points, not ", sweep, ".");
    sweep_ = sweep;
  }
  for (const auto& type : types) {
    node.outputs.push_back(value_count());
    ValueInfo info;
    static_cast<ValueType&>(info) = type;
    info.node = static_cast<int>(nodes_.size());
    values_.push_back(std::move(info));
  }
  nodes_.push_back(std::move(node));
  return {this, nodes_.back().outputs.front()};
}

void Graph::name(Value value, const std::string& name) {
  auto& first = values_[static_cast<std::size_t>(value.id)].name;
  if (first.empty()) first = name;
  names_[name] = value.id;
}

Value Graph::at(std::string_view name) {
  if (const auto it = names_.find(std::string(name)); it != names_.end()) return {this, it->second};
  std::vector<std::string> known;
  for (const auto& [key, id] : names_)
    if (!is_constant(id)) known.push_back(key);
  fail(ErrorCode::not_found, "There is no layer '", name, "'.", did_you_mean(name, known));
}

bool Graph::is_constant(int value_id) const { return producer(value_id).op == &ops::constant; }
const Tensor& Graph::constant_tensor(int value_id) const { return producer(value_id).as<ConstantAttributes>().tensor; }

std::string Graph::to_string() const {
  std::ostringstream out;
  for (const auto& node : nodes_) {
    for (int id : node.outputs) {
      const auto& v = value(id);
      out << '%' << id << (v.rows == Rows::one ? "" : v.rows == Rows::batch ? " N" : " N*S") << v.shape << ' ';
    }
    out << "= " << node.op->name << '(';
    for (std::size_t i = 0; i < node.inputs.size(); ++i) out << (i ? ", " : "") << '%' << node.inputs[i];
    out << ") " << limpid::to_string(node.attributes);
    if (node.op == &ops::input) out << value(node.outputs[0]).name << ' ' << static_cast<int>(value(node.outputs[0]).kind);
    out << '\n';
  }
  out << "sweep " << sweep_ << '\n';
  return out.str();
}

std::vector<Value> copy_into(Graph& target, const Graph& source, const std::unordered_map<int, Value>& replace, std::span<const int> outputs) {
  std::vector<bool> needed(source.nodes().size(), false);
  const auto mark = [&](int value) {
    if (value >= 0 && !replace.count(value)) needed[static_cast<std::size_t>(source.value(value).node)] = true;
  };
  for (int id : outputs) mark(id);
  for (auto i = source.nodes().size(); i-- > 0;)
    if (needed[i])
      for (int id : source.nodes()[i].inputs) mark(id);

  std::vector<Value> map(static_cast<std::size_t>(source.value_count()));
  for (const auto& [id, value] : replace) map[static_cast<std::size_t>(id)] = value;
  for (std::size_t i = 0; i < source.nodes().size(); ++i) {
    if (!needed[i]) continue;
    const Node& node = source.nodes()[i];
    if (node.op == &ops::constant) {
      map[static_cast<std::size_t>(node.outputs[0])] = target.constant(node.as<ConstantAttributes>().tensor);
      continue;
    }
    if (node.op == &ops::input)
      fail(ErrorCode::invalid_argument, "The part of the network that was asked for also needs its input '", source.value(node.outputs[0]).name, "': cut at a layer that everything passes.");
    std::vector<Value> inputs;
    for (int id : node.inputs) inputs.push_back(id < 0 ? Value{} : map[static_cast<std::size_t>(id)]);
    const Value first = target.append(*node.op, inputs, node.attributes);
    for (std::size_t k = 0; k < node.outputs.size(); ++k) {
      Value& slot = map[static_cast<std::size_t>(node.outputs[k])];
      if (!slot.defined()) slot = {&target, first.id + static_cast<int>(k)};
    }
  }
  return map;
}

}  // namespace limpid
