// The oracle: every op by its reference kernel, plain layouts, f32 or f64, one slab. Kept for ever.
#include <limpid/runtime/backend.h>
#include <limpid/runtime/memory_plan.h>
#include <limpid/runtime/ops.h>
#include <limpid/runtime/parallel.h>

#include <cstring>
#include <thread>
#include <unistd.h>

namespace limpid {
namespace {

class ReferenceWorkspace : public Workspace {
 public:
  explicit ReferenceWorkspace(std::size_t bytes) : slab(Shape{static_cast<std::int64_t>(bytes)}, DType::u8) {}
  Tensor slab;
};

class ReferenceProgram : public Program {
 public:
  ReferenceProgram(std::shared_ptr<const Graph> graph, std::vector<int> outputs, const LoweringOptions& options)
      : graph_(std::move(graph)), outputs_(std::move(outputs)), options_(options), real_(options.precision == Precision::f64 ? DType::f64 : DType::f32), schedule_(make_schedule(*graph_, outputs_)) {
    std::vector<BufferRequest> requests;
    std::vector<int> ids;
    offsets_.resize(static_cast<std::size_t>(graph_->value_count()), 0);
    constants_.resize(offsets_.size());
    for (int id = 0; id < graph_->value_count(); ++id) {
      if (graph_->is_constant(id)) constants_[static_cast<std::size_t>(id)] = graph_->constant_tensor(id).to(graph_->value(id).kind == Kind::index ? DType::i64 : real_);
      const auto& life = schedule_.lifetimes[static_cast<std::size_t>(id)];
      if (!life.stored()) continue;
      requests.push_back({bytes_of(id), life.first, life.last});
      ids.push_back(id);
    }
    const MemoryPlan plan = plan_memory(requests, options.plan_memory);
    bytes_ = plan.bytes;
    for (std::size_t i = 0; i < ids.size(); ++i) offsets_[static_cast<std::size_t>(ids[i])] = plan.offsets[i];
  }

  std::size_t workspace_bytes() const override { return bytes_; }
  std::unique_ptr<Workspace> make_workspace() const override { return std::make_unique<ReferenceWorkspace>(bytes_); }

  void upload(Workspace& workspace, int input, const Tensor& tensor) const override {
    const int id = graph_->inputs()[static_cast<std::size_t>(input)];
    const Tensor converted = tensor.to(dtype_of_value(id));
    std::memcpy(at(workspace, id), converted.raw(), converted.bytes());
  }

  void run(Workspace& workspace, Phase phase, std::int64_t first_row, std::int64_t rows) const override {
    const auto& steps = schedule_.of(phase);
    if (phase == Phase::body && first_row == 0)
      for (int i : steps)
        if (graph_->node(i).op->reducer)
          for (int id : graph_->node(i).outputs) std::memset(at(workspace, id), 0, bytes_of(id));
    std::vector<const void*> in;
    std::vector<void*> out;
    for (int i : steps) {
      const Node& node = graph_->node(i);
      in.clear();
      out.clear();
      for (int id : node.inputs) in.push_back(id < 0 ? nullptr : graph_->is_constant(id) ? constants_[static_cast<std::size_t>(id)].raw() : at(workspace, id));
      for (int id : node.outputs) out.push_back(at(workspace, id));
      const bool body = phase == Phase::body;
      node.op->reference({*graph_, node, in, out, real_, body ? rows : row_count(graph_->value(node.outputs[0]).rows, options_.batch, 0), body ? first_row : 0, body ? graph_->sweep() : 0});
    }
  }

  Tensor download(Workspace& workspace, int output) const override {
    const int id = outputs_[static_cast<std::size_t>(output)];
    const auto& v = graph_->value(id);
    Tensor t(v.shape.with_outer(options_.batch), dtype_of_value(id));
    std::memcpy(t.raw(), at(workspace, id), t.bytes());
    return t;
  }

 private:
  DType dtype_of_value(int id) const {
    const Kind kind = graph_->value(id).kind;
    return kind == Kind::real ? real_ : kind == Kind::index ? DType::i64 : DType::f64;
  }
  std::size_t bytes_of(int id) const {
    const auto& v = graph_->value(id);
    return static_cast<std::size_t>(row_count(v.rows, options_.batch, options_.chunk) * v.shape.numel()) * size_of(dtype_of_value(id));
  }
  void* at(Workspace& workspace, int id) const { return static_cast<char*>(static_cast<ReferenceWorkspace&>(workspace).slab.raw()) + offsets_[static_cast<std::size_t>(id)]; }

  std::shared_ptr<const Graph> graph_;
  std::vector<int> outputs_;
  LoweringOptions options_;
  DType real_;
  Schedule schedule_;
  std::vector<std::size_t> offsets_;
  std::vector<Tensor> constants_;
  std::size_t bytes_ = 0;
};

class ReferenceBackend : public Backend {
 public:
  std::string_view name() const override { return "reference"; }
  std::vector<DeviceInfo> devices() const override {
    const auto memory = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGE_SIZE));
    return {{"reference", "plain loops, the oracle of the others (slow)", "", memory, {Precision::f32, Precision::f64}}};
  }
  bool supports(Precision p) const override { return p == Precision::f32 || p == Precision::f64; }
  std::int64_t preferred_chunk(Precision) const override { return 8; }
  std::size_t index_bytes() const override { return 8; }
  std::size_t default_budget() const override { return std::size_t{2} << 30; }
  std::unique_ptr<Program> lower(std::shared_ptr<const Graph> graph, const std::vector<int>& outputs, const LoweringOptions& options) const override {
    return std::make_unique<ReferenceProgram>(std::move(graph), outputs, options);
  }
};

}  // namespace

const Backend* reference_backend() {
  static const ReferenceBackend backend;
  return &backend;
}

}  // namespace limpid
