#pragma once
// The state of lowering one graph: which layout and buffer each value has, and the steps so far. The lower_*.cpp files turn nodes into
// steps with it; CudaProgram runs the result.
#include <limpid/cuda/device_constants.h>
#include <limpid/cuda/kernels/pool.h>
#include <limpid/cuda/kernels/sweep.h>
#include <limpid/runtime/backend.h>
#include <limpid/runtime/memory_plan.h>
#include <limpid/runtime/path_pool.h>

#include <functional>
#include <map>
#include <set>
#include <span>

namespace limpid::cuda {

/// plain: C order. picture: points, then channels padded to a multiple of 8, which are zero behind the last. bits: a ReLU's mask, one bit an
/// element of the layout `of`. taps: a max pooling's winners. wide: integers and coefficients, eight bytes each, C order.
enum class Form : std::uint8_t { plain, picture, bits, taps, wide };

struct Layout {
  Form form = Form::plain;
  DType type = DType::f32;
  Form of = Form::plain;
  bool operator==(const Layout&) const = default;
};

/// Something in device memory that a step reads or writes: a buffer of the slab or a constant.
struct Operand {
  Layout layout;
  int buffer = -1;
  std::shared_ptr<const DeviceConstant> constant;
};

/// pointers: one an operand; null for one that is absent.
using Kernel = std::function<void(Stream& stream, std::span<std::byte* const> pointers)>;

struct Step {
  std::string name;  // op, shapes and the way it is done, for profiles
  Kernel kernel;
  std::vector<Operand> operands;
};

class Lowering {
 public:
  Lowering(const Graph& graph, std::span<const int> outputs, const Schedule& schedule, const LoweringOptions& options);

  const Graph& graph() const { return graph_; }
  const LoweringOptions& options() const { return options_; }
  const Schedule& schedule() const { return schedule_; }
  std::span<const int> outputs() const { return outputs_; }
  const Shape& shape(int id) const { return graph_.value(id).shape; }
  /// Rows that value `id` holds, and the elements of one of them in a form (padding included).
  std::int64_t rows(int id) const { return row_count(graph_.value(id).rows, options_.batch, options_.chunk); }
  std::int64_t row_elements(int id, Form form) const;
  std::int64_t elements(int id, Form form) const { return rows(id) * row_elements(id, form); }
  bool in_sweep(int id) const { return graph_.value(id).rows == Rows::sweep; }
  bool is_picture(int id) const { return shape(id).rank() == 3; }

  /// The type of pictures between convolutions; everything else is f32.
  DType real() const { return options_.precision == Precision::bf16 ? DType::bf16 : options_.precision == Precision::f16 ? DType::f16 : DType::f32; }
  bool tf32() const { return options_.precision != Precision::f32; }
  Layout plain() const { return {}; }
  Layout picture(DType type) const { return {Form::picture, type}; }
  Layout picture() const { return picture(real()); }

  const Operand& at(int id) const { return values_[static_cast<std::size_t>(id)]; }
  bool placed(int id) const { return at(id).buffer >= 0; }
  /// The value in that layout; a step that converts it is added when it lies in another. What a sweep reads from outside is converted once,
  /// before it.
  Operand use(int id, Layout layout);
  /// Gives value `id` a layout and a buffer of its own.
  Operand define(int id, Layout layout);
  /// The same for a value whose bytes do not follow from its shape.
  Operand define_bytes(int id, Layout layout, std::size_t bytes);
  /// Gives value `id` the buffer of `other`, which dies here. False when something still needs `other`.
  bool take_over(int id, int other);
  /// A reducer's result: it starts each sweep as zeros.
  void accumulate(const Operand& sums, int id) { accumulators.emplace_back(sums.buffer, static_cast<std::size_t>(elements(id, sums.layout.form)) * sizeof(float)); }
  /// The operand lasts until this step at least.
  void keep(const Operand& operand);
  /// Memory for the step being added, or (persistent) for the whole run.
  Operand scratch(std::size_t bytes, bool persistent = false);
  /// The constant's elements as they are (f32, i64 or f64), or as `arrange` makes them.
  Operand constant(int id) { return constant(id, "plain", {}); }
  Operand constant(int id, const std::string& arrangement, const std::function<Tensor(const Tensor&)>& arrange);

  /// A table of the node's attributes, as it is.
  Operand table(const Tensor& tensor) { return {{Form::wide, tensor.dtype()}, -1, device_constant(uploads_, tensor, "table", [&] { return tensor; })}; }

  void add(std::string_view op, std::vector<Operand> operands, Kernel kernel) { steps_->push_back({std::string(op) + shapes_, std::move(kernel), std::move(operands)}); }
  /// The rows of the body's pass; the pointer to the first of them is what the operand `cursor` points to.
  kernels::SweepRows sweep_rows() const { return {nullptr, options_.batch * graph_.sweep(), graph_.sweep(), options_.chunk}; }
  const Operand& cursor() const { return cursor_; }

  /// The nodes that read a value.
  std::span<const int> readers(int id) const { return readers_[static_cast<std::size_t>(id)]; }
  /// The one node that reads the value if its op is `op` (and the value is no output); else null.
  const Node* sole_reader(int id, const OpDef& op) const;
  bool is_output(int id) const;
  /// A node whose work another step does.
  void skip(const Node& node) { skipped_.insert(&node); }
  /// The weighted sum that takes a path pool's way back into itself, and the pool; null for any other.
  void fuse_way_back(const Node& sums, const Node& pool) { ways_back_[&sums] = &pool; }
  const Node* fused_way_back(const Node& sums) const;

  void run();

  std::vector<Step> steps[3];  // by Phase
  std::vector<BufferRequest> buffers;
  std::vector<std::pair<int, std::size_t>> accumulators;  // buffers that start a sweep as zeros, and their bytes
  std::vector<Operand> results;                           // the outputs as plain f32

 private:
  Operand convert(const Operand& from, int id, Layout to, std::vector<Step>& phase, int first, int last);
  void lower_node(const Node& node);

  const Graph& graph_;
  std::span<const int> outputs_;
  const Schedule& schedule_;
  LoweringOptions options_;
  Stream uploads_;
  std::vector<Operand> values_;
  std::vector<std::vector<Operand>> copies_;   // of a value in further layouts, within the current node only
  std::vector<std::vector<Operand>> hoisted_;  // the same, for the whole body
  std::vector<std::vector<int>> readers_;
  std::set<const Node*> skipped_;
  std::map<const Node*, const Node*> ways_back_;
  Operand cursor_;
  std::vector<Step>* steps_ = nullptr;
  Phase phase_ = Phase::prologue;
  int step_ = 0;
  std::string shapes_;  // of the node being lowered, for names
};

template <class T>
T* as(std::byte* pointer) { return reinterpret_cast<T*>(pointer); }

/// "cuda: OP ..." as an Error of code unsupported.
template <class... Parts>
[[noreturn]] void unsupported(const Node& node, const Parts&... parts) { fail(ErrorCode::unsupported, "cuda: ", node.op->name, ": ", parts...); }

// Each lowers a node of the op in its name.
using Rule = void (*)(Lowering&, const Node&);
void lower_conv2d(Lowering& l, const Node& n);
void lower_conv2d_backward_data(Lowering& l, const Node& n);
void lower_pool(Lowering& l, const Node& n);
void lower_pool_backward(Lowering& l, const Node& n);
void lower_global_avg_pool(Lowering& l, const Node& n);
void lower_global_avg_pool_backward(Lowering& l, const Node& n);
void lower_activation(Lowering& l, const Node& n);
void lower_relu_mask(Lowering& l, const Node& n);
void lower_activation_backward(Lowering& l, const Node& n);
void lower_batch_norm(Lowering& l, const Node& n);
void lower_binary(Lowering& l, const Node& n);
void lower_unary(Lowering& l, const Node& n);
void lower_fill_like(Lowering& l, const Node& n);
void lower_linear(Lowering& l, const Node& n);
void lower_linear_backward(Lowering& l, const Node& n);
void lower_softmax(Lowering& l, const Node& n);
void lower_reshape(Lowering& l, const Node& n);
void lower_concat(Lowering& l, const Node& n);
void lower_slice(Lowering& l, const Node& n);
void lower_channels(Lowering& l, const Node& n);
void lower_select(Lowering& l, const Node& n);
void lower_linear_row(Lowering& l, const Node& n);
void lower_sum(Lowering& l, const Node& n);
void lower_interpolate(Lowering& l, const Node& n);
void lower_channel_weighted_sum(Lowering& l, const Node& n);
void lower_path_points(Lowering& l, const Node& n);
void lower_occlude_windows(Lowering& l, const Node& n);
void lower_ablate_features(Lowering& l, const Node& n);
void lower_patch(Lowering& l, const Node& n);
void lower_weighted_sum(Lowering& l, const Node& n);
void lower_collect(Lowering& l, const Node& n);
void lower_scatter(Lowering& l, const Node& n);

}  // namespace limpid::cuda
