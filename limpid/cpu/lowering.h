#pragma once
// The state of lowering one graph: which layout and buffer each value has, and the steps so far. The lower_*.cpp files turn nodes into
// steps with it; CpuProgram runs the result.
#include <limpid/cpu/packed_weights.h>
#include <limpid/runtime/backend.h>
#include <limpid/runtime/memory_plan.h>
#include <limpid/runtime/path_pool.h>

#include <functional>
#include <map>
#include <set>
#include <span>

namespace limpid::cpu {

/// Something in memory that a step reads or writes: a buffer of the slab or packed weights.
struct Operand {
  memory::desc desc;
  int buffer = -1;
  std::shared_ptr<const PackedWeights> weights;
  std::shared_ptr<const Tensor> tensor;  // a constant in plain layout
  std::size_t offset = 0;                // bytes before what is meant
};

/// pointers: one an operand. rows: valid rows of the sweep from first_row on (0, 0 outside the sweep).
using Kernel = std::function<void(std::span<void* const> pointers, std::int64_t first_row, std::int64_t rows)>;

struct Step {
  std::string name;  // for profiles: op and implementation
  dnnl::primitive primitive;
  std::vector<std::pair<int, Operand>> arguments;  // of the primitive
  Kernel kernel;                                   // when there is no primitive
  std::vector<Operand> operands;                   // of the kernel
};

class Lowering {
 public:
  Lowering(const Graph& graph, std::span<const int> outputs, const Schedule& schedule, const LoweringOptions& options);

  const Graph& graph() const { return graph_; }
  const LoweringOptions& options() const { return options_; }
  const Schedule& schedule() const { return schedule_; }
  std::span<const int> outputs() const { return outputs_; }
  /// Rows that value `id` holds.
  std::int64_t rows(int id) const { return row_count(graph_.value(id).rows, options_.batch, options_.chunk); }
  bool in_sweep(int id) const { return graph_.value(id).rows == Rows::sweep; }

  /// The type that convolutions compute in.
  memory::data_type real() const { return options_.precision == Precision::bf16 ? memory::data_type::bf16 : memory::data_type::f32; }
  /// Dims of a value: its rows, then its shape.
  memory::dims dims(int id) const;
  memory::desc plain(int id, memory::data_type type = memory::data_type::f32) const;
  /// The layout and type in which convolutions read and write value `id`: channels in blocks of a vector register (side by side for AMX), pictures
  /// of few channels plain. One layout for all: left to itself, oneDNN chooses differently forward and backward, and every ReLU pays a reorder.
  memory::desc working(int id) const { return {dims(id), real(), working_tag(dims(id)[1])}; }
  memory::format_tag working_tag(std::int64_t channels) const;
  /// Channels that lie side by side in the working layout.
  std::int64_t channel_block(std::int64_t channels) const;
  memory::desc any(int id) const { return {dims(id), real(), memory::format_tag::any}; }
  /// The same layout as `like` (a desc of the same shape), for value `id`'s rows and another type; an empty desc if it has no name.
  memory::desc same_layout(const memory::desc& like, int id, memory::data_type type) const;

  const Operand& at(int id) const { return values_[static_cast<std::size_t>(id)]; }
  bool placed(int id) const { return at(id).buffer >= 0; }
  /// The value in that layout; a reorder step is added when it lies in another.
  Operand use(int id, const memory::desc& desc);
  /// Gives value `id` a layout and a buffer of its own.
  Operand define(int id, const memory::desc& desc);
  /// The same, for a value that takes `bytes` however its elements lie.
  Operand define(int id, const memory::desc& desc, std::size_t bytes);
  /// Gives value `id` the buffer of `other`, which dies here (or in the node that was taken in). False when something still needs `other`.
  bool take_over(int id, int other);
  /// The value, or constant, as reference kernels read it: plain f32, integers and coefficients as they are. Empty for id -1.
  Operand use_plain(int id);
  Operand constant(int id, const memory::dims& plain_dims, const memory::desc& wanted) { return {wanted, -1, pack(graph_.constant_tensor(id), plain_dims, wanted), {}}; }
  Operand scratchpad(const memory::desc& desc);

  /// Adds a step to the node being lowered. `arguments` as oneDNN numbers them.
  template <class PrimitiveDesc>
  void add(std::string_view op, const PrimitiveDesc& pd, const dnnl::primitive& primitive, std::vector<std::pair<int, Operand>> arguments) {
    if (pd.scratchpad_desc().get_size() > 0) arguments.emplace_back(DNNL_ARG_SCRATCHPAD, scratchpad(pd.scratchpad_desc()));
    steps_->push_back({std::string(op) + shapes_ + ' ' + pd.impl_info_str(), primitive, std::move(arguments), {}, {}});
  }
  void add(std::string_view op, Kernel kernel, std::vector<Operand> operands, std::string_view implementation = {}) {
    steps_->push_back({std::string(op) + shapes_ + std::string(implementation), {}, {}, std::move(kernel), std::move(operands)});
  }

  /// The activation_backward that is next in order and alone reads `id`, when it may be computed where `id` would be (its other operands are there);
  /// null otherwise. `fuse` then takes it from the list; its output is defined at the present step.
  const Node* next_backward(int id) const;
  void fuse(const Node& next);
  /// The relu_mask of `id`, which an activation of that kind gave, when it is next in order; null otherwise.
  const Node* next_mask(int id, Activation kind) const;

  /// A node whose work another step does.
  void skip(const Node& node) { skipped_.insert(&node); }
  /// A way back to a path's pooling is one step, in the place of `pool_backward`.
  void join(const Node& pool_backward, const PathPool::WayBack& way) { ways_back_[&pool_backward] = way; }
  const PathPool::WayBack* way_back(const Node& pool_backward) const;
  /// The way back that is next in order and alone reads the gradient `id`; null if there is none.
  const PathPool::WayBack* next_way_back(int id) const;

  /// Lowers every node.
  void run();

  std::vector<Step> steps[3];            // by Phase
  std::vector<BufferRequest> buffers;
  std::vector<std::pair<int, std::size_t>> accumulators;  // buffers that start a sweep as zeros, and their bytes
  std::vector<Operand> results;          // the outputs as plain f32

 private:
  bool lower_node(const Node& node);

  const Graph& graph_;
  std::span<const int> outputs_;
  const Schedule& schedule_;
  LoweringOptions options_;
  std::vector<Operand> values_;
  std::vector<std::vector<Operand>> copies_;  // of a value in further layouts, within the current node only
  std::vector<Step>* steps_ = nullptr;
  int step_ = 0;
  const Node* next_ = nullptr;   // the node behind the one being lowered, in the same phase
  const Node* fused_ = nullptr;  // that it has taken in
  std::set<const Node*> skipped_;
  std::map<const Node*, PathPool::WayBack> ways_back_;
  std::vector<int> uses_;        // of each value, by nodes and as an output
  std::string shapes_;  // of the node being lowered, for names
};

inline dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

/// The buffer of a relu_mask of y, one bit an element in y's layout.
inline Operand define_mask(Lowering& l, int y, const Node& mask) {
  const memory::desc& desc = l.at(y).desc;
  const auto elements = desc.get_size() / (type_of(desc) == memory::data_type::bf16 ? 2 : 4);
  return l.define(mask.outputs[0], desc, (elements + 7) / 8);
}

/// Whether own kernels may use AMX: the processor has it and oneDNN is not told to do without (ONEDNN_MAX_CPU_ISA).
bool on_amx();
/// A conv2d or conv2d_backward_data by own kernels for AMX; false where they do not apply.
bool lower_on_tiles(Lowering& l, const Node& n);
/// The same by own Winograd transforms; false where they do not apply or do not pay.
bool lower_by_winograd(Lowering& l, const Node& n);

// Each lowers a node of the op in its name.
void lower_conv2d(Lowering& l, const Node& n);
void lower_conv2d_backward_data(Lowering& l, const Node& n);
void lower_max_pool(Lowering& l, const Node& n);
void lower_max_pool_backward(Lowering& l, const Node& n);
void lower_linear(Lowering& l, const Node& n);
void lower_linear_backward(Lowering& l, const Node& n);
void lower_linear_row(Lowering& l, const Node& n);
void lower_linear_row_backward(Lowering& l, const Node& n);
void lower_activation(Lowering& l, const Node& n);
void lower_relu_mask(Lowering& l, const Node& n);
void lower_activation_backward(Lowering& l, const Node& n);
void lower_binary(Lowering& l, const Node& n);
void lower_unary(Lowering& l, const Node& n);
void lower_global_avg_pool(Lowering& l, const Node& n);
void lower_global_avg_pool_backward(Lowering& l, const Node& n);
void lower_path_points(Lowering& l, const Node& n);
/// The points with all that runtime/path_pool.h finds behind them; false where it does not apply.
bool lower_path_pool(Lowering& l, const Node& points);
/// One way back for the gradient dy + more (-1: dy).
void lower_way_back(Lowering& l, const PathPool::WayBack& way, int dy, int more = -1);
/// The activation that alone reads these points; null if there is none, or other readers.
const Node* activation_behind(const Lowering& l, const Node& points);
void lower_source(Lowering& l, const Node& n);
void lower_patch(Lowering& l, const Node& n);
void lower_weighted_sum(Lowering& l, const Node& n);
/// Any op, by its reference kernel in f32 and plain layout.
void lower_by_reference(Lowering& l, const Node& n);

}  // namespace limpid::cpu
