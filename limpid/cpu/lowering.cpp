#include <limpid/cpu/lowering.h>
#include <limpid/runtime/ops.h>

#include <algorithm>

namespace limpid::cpu {
namespace {

void reorder(std::vector<Step>& steps, const Operand& from, const Operand& to) {
  const dnnl::reorder::primitive_desc pd(engine(), from.desc, engine(), to.desc);
  steps.push_back({std::string("reorder ") + pd.impl_info_str(), dnnl::reorder(pd), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}, {}, {}});
}

/// " [3, 224, 224] [64, 3, 7, 7] -> [64, 112, 112]"
std::string shapes_of(const Graph& graph, const Node& node) {
  std::string text;
  for (int id : node.inputs)
    if (id >= 0) text.append(1, ' ').append(graph.value(id).shape.to_string());
  return text.append(" -> ").append(graph.value(node.outputs[0]).shape.to_string());
}

using Rule = void (*)(Lowering&, const Node&);
Rule rule_for(const OpDef* op) {
  static const std::pair<const OpDef*, Rule> rules[] = {{&ops::conv2d, lower_conv2d},
                                                        {&ops::conv2d_backward_data, lower_conv2d_backward_data},
                                                        {&ops::max_pool, lower_max_pool},
                                                        {&ops::max_pool_backward, lower_max_pool_backward},
                                                        {&ops::linear, lower_linear},
                                                        {&ops::linear_backward, lower_linear_backward},
                                                        {&ops::linear_row, lower_linear_row},
                                                        {&ops::linear_row_backward, lower_linear_row_backward},
                                                        {&ops::activation, lower_activation},
                                                        {&ops::relu_mask, lower_relu_mask},
                                                        {&ops::activation_backward, lower_activation_backward},
                                                        {&ops::add, lower_binary},
                                                        {&ops::sub, lower_binary},
                                                        {&ops::mul, lower_binary},
                                                        {&ops::scale, lower_unary},
                                                        {&ops::abs, lower_unary},
                                                        {&ops::global_avg_pool, lower_global_avg_pool},
                                                        {&ops::global_avg_pool_backward, lower_global_avg_pool_backward},
                                                        {&ops::path_points, lower_path_points},
                                                        {&ops::occlude_windows, lower_source},
                                                        {&ops::ablate_features, lower_source},
                                                        {&ops::patch, lower_patch},
                                                        {&ops::weighted_sum, lower_weighted_sum}};
  for (const auto& [known, rule] : rules)
    if (known == op) return rule;
  return lower_by_reference;
}

}  // namespace

Lowering::Lowering(const Graph& graph, std::span<const int> outputs, const Schedule& schedule, const LoweringOptions& options)
    : graph_(graph), outputs_(outputs), schedule_(schedule), options_(options) {
  values_.resize(static_cast<std::size_t>(graph.value_count()));
  copies_.resize(values_.size());
  uses_.resize(values_.size());
  for (const Node& node : graph.nodes())
    for (int id : node.inputs)
      if (id >= 0) ++uses_[static_cast<std::size_t>(id)];
  for (int id : outputs) ++uses_[static_cast<std::size_t>(id)];
}

const Node* Lowering::next_backward(int id) const {
  if (!options_.fuse_backward || !next_ || next_->op != &ops::activation_backward || uses_[static_cast<std::size_t>(id)] != 1) return nullptr;
  bool reads = false;
  for (std::size_t i = 0; i < next_->inputs.size(); ++i) {
    const int in = next_->inputs[i];
    if (in == id && i > 0) reads = true;
    else if (in >= 0 && !placed(in)) return nullptr;
  }
  return reads ? next_ : nullptr;
}

const Node* Lowering::next_mask(int id, Activation kind) const {
  const bool found = options_.fuse_backward && next_ && next_->op == &ops::relu_mask && next_->inputs[0] == id && next_->as<ActivationAttributes>().activation == kind;
  return found && kind != Activation::none ? next_ : nullptr;
}

const PathPool::WayBack* Lowering::way_back(const Node& pool_backward) const {
  const auto found = ways_back_.find(&pool_backward);
  return found == ways_back_.end() ? nullptr : &found->second;
}

const PathPool::WayBack* Lowering::next_way_back(int id) const {
  return next_ && next_->op == &ops::max_pool_backward && next_->inputs[1] == id && uses_[static_cast<std::size_t>(id)] == 1 ? way_back(*next_) : nullptr;
}

void Lowering::fuse(const Node& next) {
  fused_ = &next;
  shapes_ += " + " + std::string(next.op->name);
}

memory::dims Lowering::dims(int id) const {
  memory::dims d{rows(id)};
  for (auto extent : graph_.value(id).shape) d.push_back(extent);
  return d;
}

memory::desc Lowering::plain(int id, memory::data_type type) const {
  const auto d = dims(id);
  return {d, type, plain_tag(d.size())};
}

memory::format_tag Lowering::working_tag(std::int64_t channels) const {
  using Tag = memory::format_tag;
  const bool amx = uses(dnnl::cpu_isa::avx512_core_amx) && real() == memory::data_type::bf16;
  return channels < 8 ? Tag::nchw : amx ? Tag::nhwc : uses(dnnl::cpu_isa::avx512_core) ? Tag::nChw16c : Tag::nChw8c;
}

std::int64_t Lowering::channel_block(std::int64_t channels) const {
  using Tag = memory::format_tag;
  const Tag tag = working_tag(channels);
  return tag == Tag::nchw ? 1 : tag == Tag::nhwc ? channels : tag == Tag::nChw8c ? 8 : 16;
}

memory::desc Lowering::same_layout(const memory::desc& like, int id, memory::data_type type) const {
  using Tag = memory::format_tag;
  const auto own = dims(id), other = dims_of(like);
  if (own.size() != 4) return plain(id, type);
  for (const Tag tag : {Tag::nChw16c, Tag::nchw, Tag::nhwc, Tag::nChw8c, Tag::nChw4c})
    if (memory::desc(other, type_of(like), tag) == like) return {own, type, tag};
  return {};
}

Operand Lowering::use(int id, const memory::desc& desc) {
  const Operand& own = at(id);
  if (own.buffer < 0) fail(ErrorCode::internal, "cpu: value ", id, " (", graph_.producer(id).op->name, ") is read before it is written.");
  if (own.desc == desc) return own;
  for (const Operand& copy : copies_[static_cast<std::size_t>(id)])
    if (copy.desc == desc) return copy;
  const Operand copy{desc, static_cast<int>(buffers.size()), {}, {}};
  buffers.push_back({desc.get_size(), step_, step_});
  reorder(*steps_, own, copy);
  copies_[static_cast<std::size_t>(id)].push_back(copy);
  return copy;
}

Operand Lowering::use_plain(int id) {
  if (id < 0) return {};
  const Kind kind = graph_.value(id).kind;
  if (graph_.is_constant(id)) return {{}, -1, {}, std::make_shared<const Tensor>(graph_.constant_tensor(id).to(kind == Kind::index ? DType::i64 : DType::f32))};
  return kind == Kind::real ? use(id, plain(id)) : at(id);
}

Operand Lowering::define(int id, const memory::desc& desc) { return define(id, desc, desc.get_size()); }

Operand Lowering::define(int id, const memory::desc& desc, std::size_t bytes) {
  const auto& life = schedule_.lifetimes[static_cast<std::size_t>(id)];
  Operand& own = values_[static_cast<std::size_t>(id)];
  own = {desc, static_cast<int>(buffers.size()), {}, {}};
  buffers.push_back({bytes, std::min(life.first, step_), life.last});
  return own;
}

bool Lowering::take_over(int id, int other) {
  const auto &life = schedule_.lifetimes[static_cast<std::size_t>(id)], &old = schedule_.lifetimes[static_cast<std::size_t>(other)];
  if (old.last > step_ + (fused_ ? 1 : 0) || graph_.value(id).rows != graph_.value(other).rows || graph_.producer(other).op == &ops::input) return false;
  values_[static_cast<std::size_t>(id)] = at(other);
  auto& buffer = buffers[static_cast<std::size_t>(at(other).buffer)];
  buffer.last = std::max(buffer.last, life.last);
  return true;
}

Operand Lowering::scratchpad(const memory::desc& desc) {
  buffers.push_back({desc.get_size(), step_, step_});
  return {desc, static_cast<int>(buffers.size()) - 1, {}, {}};
}

void Lowering::run() {
  for (int id : graph_.inputs()) {
    if (graph_.value(id).kind == Kind::real) {
      define(id, plain(id));
      continue;
    }
    // Integers and coefficients: eight bytes each, read by kernels only.
    const auto& life = schedule_.lifetimes[static_cast<std::size_t>(id)];
    values_[static_cast<std::size_t>(id)] = {{}, static_cast<int>(buffers.size()), {}, {}};
    buffers.push_back({static_cast<std::size_t>(rows(id) * graph_.value(id).shape.numel()) * 8, life.first, life.last});
  }
  step_ = 0;
  for (const Phase phase : {Phase::prologue, Phase::body, Phase::epilogue}) {
    steps_ = &steps[static_cast<int>(phase)];
    const auto& order = schedule_.of(phase);
    for (std::size_t k = 0; k < order.size(); ++k) {
      const Node& node = graph_.node(order[k]);
      next_ = k + 1 < order.size() ? &graph_.node(order[k + 1]) : nullptr;
      if (fused_ == &node || skipped_.count(&node)) {
        if (fused_ == &node) fused_ = nullptr;
        for (int id : node.inputs)
          if (id >= 0) copies_[static_cast<std::size_t>(id)].clear();
        ++step_;
        continue;
      }
      shapes_ = shapes_of(graph_, node);
      try {
        // The ops' own rules take constants as weights only.
        const bool first_is_constant = !node.inputs.empty() && node.inputs[0] >= 0 && graph_.is_constant(node.inputs[0]);
        (first_is_constant ? lower_by_reference : rule_for(node.op))(*this, node);
      } catch (const dnnl::error& e) {
        fail(e.status == dnnl_out_of_memory ? ErrorCode::out_of_memory : ErrorCode::internal, "cpu: oneDNN refused ", node.op->name, shapes_, ": ", e.what());
      }
      for (int id : node.inputs)
        if (id >= 0) copies_[static_cast<std::size_t>(id)].clear();
      ++step_;
    }
  }
  for (int id : outputs_) {  // step_ is now one past the last: the outputs' copies live there
    results.push_back(use(id, plain(id)));
    copies_[static_cast<std::size_t>(id)].clear();
  }
}

void lower_by_reference(Lowering& l, const Node& n) {
  const Graph& g = l.graph();
  std::vector<Operand> operands;
  for (int id : n.inputs) operands.push_back(l.use_plain(id));
  const std::size_t inputs = operands.size();
  for (int id : n.outputs) {
    if (g.value(id).kind != Kind::real) fail(ErrorCode::internal, "cpu: ", n.op->name, " has no lowering and writes integers.");
    operands.push_back(l.define(id, l.plain(id)));
    if (n.op->reducer) l.accumulators.emplace_back(operands.back().buffer, operands.back().desc.get_size());
  }
  const bool swept = n.op->reducer || l.in_sweep(n.outputs[0]);
  const std::int64_t outside = l.rows(n.outputs[0]), sweep = swept ? g.sweep() : 0;
  l.add(n.op->name,
        [&g, &n, inputs, outside, sweep](std::span<void* const> p, std::int64_t first_row, std::int64_t rows) {
          const std::vector<const void*> in(p.begin(), p.begin() + static_cast<std::ptrdiff_t>(inputs));
          n.op->reference({g, n, in, p.subspan(inputs), DType::f32, sweep ? rows : outside, sweep ? first_row : 0, sweep});
        },
        std::move(operands));
}

}  // namespace limpid::cpu
