#include <limpid/cuda/lowering.h>
#include <limpid/cuda/kernels/layout.h>
#include <limpid/runtime/ops.h>

#include <algorithm>

namespace limpid::cuda {
namespace {

Rule rule_for(const OpDef* op) {
  static const std::pair<const OpDef*, Rule> rules[] = {{&ops::conv2d, lower_conv2d},
                                                        {&ops::conv2d_backward_data, lower_conv2d_backward_data},
                                                        {&ops::max_pool, lower_pool},
                                                        {&ops::avg_pool, lower_pool},
                                                        {&ops::max_pool_backward, lower_pool_backward},
                                                        {&ops::avg_pool_backward, lower_pool_backward},
                                                        {&ops::global_avg_pool, lower_global_avg_pool},
                                                        {&ops::global_avg_pool_backward, lower_global_avg_pool_backward},
                                                        {&ops::activation, lower_activation},
                                                        {&ops::relu_mask, lower_relu_mask},
                                                        {&ops::activation_backward, lower_activation_backward},
                                                        {&ops::batch_norm, lower_batch_norm},
                                                        {&ops::batch_norm_backward, lower_batch_norm},
                                                        {&ops::add, lower_binary},
                                                        {&ops::sub, lower_binary},
                                                        {&ops::mul, lower_binary},
                                                        {&ops::scale, lower_unary},
                                                        {&ops::abs, lower_unary},
                                                        {&ops::fill_like, lower_fill_like},
                                                        {&ops::linear, lower_linear},
                                                        {&ops::linear_backward, lower_linear_backward},
                                                        {&ops::linear_row, lower_linear_row},
                                                        {&ops::linear_row_backward, lower_linear_row},
                                                        {&ops::softmax, lower_softmax},
                                                        {&ops::softmax_backward, lower_softmax},
                                                        {&ops::reshape, lower_reshape},
                                                        {&ops::concat, lower_concat},
                                                        {&ops::slice, lower_slice},
                                                        {&ops::slice_backward, lower_slice},
                                                        {&ops::broadcast_channels, lower_channels},
                                                        {&ops::sum_channels, lower_channels},
                                                        {&ops::select, lower_select},
                                                        {&ops::select_backward, lower_select},
                                                        {&ops::sum, lower_sum},
                                                        {&ops::interpolate, lower_interpolate},
                                                        {&ops::interpolate_backward, lower_interpolate},
                                                        {&ops::channel_weighted_sum, lower_channel_weighted_sum},
                                                        {&ops::path_points, lower_path_points},
                                                        {&ops::occlude_windows, lower_occlude_windows},
                                                        {&ops::ablate_features, lower_ablate_features},
                                                        {&ops::patch, lower_patch},
                                                        {&ops::weighted_sum, lower_weighted_sum},
                                                        {&ops::collect, lower_collect},
                                                        {&ops::scatter_windows, lower_scatter},
                                                        {&ops::scatter_features, lower_scatter}};
  for (const auto& [known, rule] : rules)
    if (known == op) return rule;
  fail(ErrorCode::unsupported, "cuda: the op ", op->name, " has no kernel; use --device cpu.");
}

/// " [3, 224, 224] [64, 3, 7, 7] -> [64, 112, 112]"
std::string shapes_of(const Graph& graph, const Node& node) {
  std::string text;
  for (int id : node.inputs)
    if (id >= 0) text.append(1, ' ').append(graph.value(id).shape.to_string());
  return text.append(" -> ").append(graph.value(node.outputs[0]).shape.to_string());
}

std::size_t bytes_of(const Layout& layout, std::int64_t elements) {
  if (layout.form == Form::bits) return static_cast<std::size_t>((elements + 7) / 8);
  return static_cast<std::size_t>(elements) * (layout.form == Form::wide ? 8 : size_of(layout.type));
}

}  // namespace

Lowering::Lowering(const Graph& graph, std::span<const int> outputs, const Schedule& schedule, const LoweringOptions& options)
    : graph_(graph), outputs_(outputs), schedule_(schedule), options_(options), uploads_(options.device_index) {
  values_.resize(static_cast<std::size_t>(graph.value_count()));
  copies_.resize(values_.size());
  hoisted_.resize(values_.size());
  readers_.resize(values_.size());
  for (int i = 0; i < static_cast<int>(graph.nodes().size()); ++i)
    for (int id : graph.node(i).inputs)
      if (id >= 0) readers_[static_cast<std::size_t>(id)].push_back(i);
}

std::int64_t Lowering::row_elements(int id, Form form) const {
  const Shape& s = shape(id);
  return form == Form::picture ? padded(s[0]) * s[1] * s[2] : s.numel();
}

bool Lowering::is_output(int id) const { return std::find(outputs_.begin(), outputs_.end(), id) != outputs_.end(); }

const Node* Lowering::fused_way_back(const Node& sums) const {
  const auto found = ways_back_.find(&sums);
  return found == ways_back_.end() ? nullptr : found->second;
}

const Node* Lowering::sole_reader(int id, const OpDef& op) const {
  const auto all = readers(id);
  if (all.size() != 1 || is_output(id)) return nullptr;
  const Node& node = graph_.node(all.front());
  return node.op == &op ? &node : nullptr;
}

Operand Lowering::convert(const Operand& from, int id, Layout to, std::vector<Step>& phase, int first, int last) {
  const bool to_picture = from.layout.form == Form::plain && to.form == Form::picture, to_plain = from.layout.form == Form::picture && to.form == Form::plain;
  const bool retyped = from.layout.form == Form::picture && to.form == Form::picture;
  if (!(to_picture || to_plain || retyped) || (to_plain && to.type != DType::f32)) fail(ErrorCode::internal, "cuda: value ", id, " (", graph_.producer(id).op->name, ") does not come in the layout wanted.");
  const Shape& s = shape(id);
  const Operand result{to, static_cast<int>(buffers.size()), {}};
  buffers.push_back({bytes_of(to, elements(id, to.form)), first, last});
  const std::int64_t images = rows(id), channels = to_plain || to_picture ? s[0] : 0, points = to_plain || to_picture ? s[1] * s[2] : 0, all = elements(id, to.form);
  const DType old_type = from.layout.type;
  phase.push_back({"convert " + s.to_string(), [=](Stream& stream, std::span<std::byte* const> p) {
                     if (to_picture) kernels::to_picture(stream, as<const float>(p[0]), p[1], to.type, images, channels, points);
                     else if (to_plain) kernels::to_plain(stream, p[0], old_type, as<float>(p[1]), images, channels, points);
                     else kernels::change_type(stream, p[0], old_type, p[1], to.type, all);
                   },
                   {from, result}});
  return result;
}

Operand Lowering::use(int id, Layout layout) {
  const auto index = static_cast<std::size_t>(id);
  const Operand own = graph_.is_constant(id) ? constant(id) : at(id);
  if (own.buffer < 0 && !own.constant) fail(ErrorCode::internal, "cuda: value ", id, " (", graph_.producer(id).op->name, ") is read before it is written.");
  if (own.layout == layout) return own;
  for (const auto* copies : {&copies_[index], &hoisted_[index]})
    for (const Operand& copy : *copies)
      if (copy.layout == layout) return copy;
  if (phase_ == Phase::body && !in_sweep(id)) {  // behind the prologue's last step, for as long as the body runs
    const int before = std::max(schedule_.begin(Phase::body) - 1, 0);
    hoisted_[index].push_back(convert(own, id, layout, steps[0], before, schedule_.begin(Phase::epilogue) - 1));
    return hoisted_[index].back();
  }
  copies_[index].push_back(convert(own, id, layout, *steps_, step_, step_));
  return copies_[index].back();
}

Operand Lowering::define(int id, Layout layout) { return define_bytes(id, layout, bytes_of(layout, elements(id, layout.form == Form::bits ? layout.of : layout.form))); }

Operand Lowering::define_bytes(int id, Layout layout, std::size_t bytes) {
  const auto& life = schedule_.lifetimes[static_cast<std::size_t>(id)];
  Operand& own = values_[static_cast<std::size_t>(id)];
  own = {layout, static_cast<int>(buffers.size()), {}};
  buffers.push_back({bytes, std::min(life.first, step_), std::max(life.last, step_)});  // a fused step may write earlier than its node stands
  return own;
}

void Lowering::keep(const Operand& operand) {
  auto& buffer = buffers[static_cast<std::size_t>(operand.buffer)];
  buffer.last = std::max(buffer.last, step_);
}

bool Lowering::take_over(int id, int other) {
  if (graph_.is_constant(other) || !placed(other)) return false;
  const auto &life = schedule_.lifetimes[static_cast<std::size_t>(id)], &old = schedule_.lifetimes[static_cast<std::size_t>(other)];
  auto& buffer = buffers[static_cast<std::size_t>(at(other).buffer)];
  if (old.last != step_ || buffer.last != step_ || graph_.value(id).rows != graph_.value(other).rows || graph_.producer(other).op == &ops::input) return false;
  values_[static_cast<std::size_t>(id)] = at(other);
  buffer.last = std::max(buffer.last, life.last);
  return true;
}

Operand Lowering::scratch(std::size_t bytes, bool persistent) {
  buffers.push_back({bytes, persistent ? 0 : step_, persistent ? schedule_.steps() : step_});
  return {{}, static_cast<int>(buffers.size()) - 1, {}};
}

Operand Lowering::constant(int id, const std::string& arrangement, const std::function<Tensor(const Tensor&)>& arrange) {
  const Tensor& source = graph_.constant_tensor(id);
  const Kind kind = graph_.value(id).kind;
  const DType type = kind == Kind::index ? DType::i64 : kind == Kind::coefficient ? DType::f64 : DType::f32;
  const Layout layout{kind == Kind::real ? Form::plain : Form::wide, kind == Kind::real ? DType::f32 : type};
  return {layout, -1, device_constant(uploads_, source, arrangement, [&] { return arrange ? arrange(source) : source.to(type); })};
}

void Lowering::lower_node(const Node& node) {
  shapes_ = shapes_of(graph_, node);
  if (!skipped_.count(&node)) rule_for(node.op)(*this, node);
  for (int id : node.inputs)
    if (id >= 0) copies_[static_cast<std::size_t>(id)].clear();
}

void Lowering::run() {
  cursor_ = scratch(sizeof(std::int64_t), true);
  for (int id : graph_.inputs()) define(id, graph_.value(id).kind == Kind::real ? plain() : Layout{Form::wide, DType::i64});
  for (const Phase phase : {Phase::prologue, Phase::body, Phase::epilogue}) {
    phase_ = phase;
    steps_ = &steps[static_cast<int>(phase)];
    for (int i : schedule_.of(phase)) {
      lower_node(graph_.node(i));
      ++step_;
    }
  }
  for (int id : outputs_) {  // step_ is now one past the last: the outputs' copies live there
    results.push_back(use(id, plain()));
    copies_[static_cast<std::size_t>(id)].clear();
  }
}

}  // namespace limpid::cuda
