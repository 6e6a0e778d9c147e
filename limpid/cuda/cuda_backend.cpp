// The CUDA backend: a lowered graph as lists of steps over one slab of device memory. A workspace's second run and all that follow replay a
// captured graph: the whole batch in one launch where its passes are few, else one launch a phase or pass.
#include <limpid/cuda/describe.h>
#include <limpid/cuda/lowering.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace limpid {
namespace cuda {
namespace {

constexpr std::int64_t most_captured_passes = 64;  // beyond, a pass is captured once and replayed

bool profiling() {
  static const bool on = std::getenv("LIMPID_PROFILE") != nullptr;
  return on;
}

class CudaWorkspace : public Workspace {
 public:
  CudaWorkspace(int device, std::size_t bytes, std::size_t host_bytes) : slab(device, bytes), host(host_bytes), stream(device) {}
  ~CudaWorkspace() override {
    try {
      stream.synchronize();  // a cancelled run may still be at work in the slab
    } catch (const Error&) {
    }
  }
  DeviceMemory slab;
  PinnedMemory host;  // inputs, then results, as they are copied
  Stream stream;
  std::vector<std::vector<std::byte*>> pointers[3];
  std::unique_ptr<CapturedGraph> whole, phases[3];
  std::int64_t runs = 0;
  bool pending = false;  // the stream may still read `host`
};

std::size_t aligned(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

class CudaProgram : public Program {
 public:
  CudaProgram(std::shared_ptr<const Graph> graph, std::vector<int> outputs, const LoweringOptions& options)
      : graph_(std::move(graph)), outputs_(std::move(outputs)), options_(options), schedule_(make_schedule(*graph_, outputs_)), lowering_(*graph_, outputs_, schedule_, options_) {
    lowering_.run();
    plan_ = plan_memory(lowering_.buffers, options.plan_memory);
    for (int id : graph_->inputs()) place(element_size(id) * static_cast<std::size_t>(lowering_.elements(id, Form::plain)));
    for (int id : outputs_) place(sizeof(float) * static_cast<std::size_t>(lowering_.elements(id, Form::plain)));
  }

  std::size_t workspace_bytes() const override { return plan_.bytes; }

  std::unique_ptr<Workspace> make_workspace() const override {
    auto w = std::make_unique<CudaWorkspace>(options_.device_index, std::max<std::size_t>(plan_.bytes, 256), std::max<std::size_t>(host_bytes_, 256));
    for (int phase = 0; phase < 3; ++phase)
      for (const Step& step : lowering_.steps[phase]) {
        auto& bound = w->pointers[phase].emplace_back();
        for (const Operand& operand : step.operands) bound.push_back(address(*w, operand));
      }
    return w;
  }

  void upload(Workspace& workspace, int input, const Tensor& tensor) const override {
    auto& w = static_cast<CudaWorkspace&>(workspace);
    settle(w);
    const int id = graph_->inputs()[static_cast<std::size_t>(input)];
    const Kind kind = graph_->value(id).kind;
    const Tensor converted = tensor.to(kind == Kind::real ? DType::f32 : kind == Kind::index ? DType::i64 : DType::f64);
    std::byte* staged = w.host.data() + host_offsets_[static_cast<std::size_t>(input)];
    std::memcpy(staged, converted.raw(), converted.bytes());
    w.stream.upload(address(w, lowering_.at(id)), staged, converted.bytes());
  }

  void run(Workspace& workspace, Phase phase, std::int64_t first_row, std::int64_t) const override {
    auto& w = static_cast<CudaWorkspace&>(workspace);
    w.pending = true;
    if (phase == Phase::body && first_row == 0) start_sweep(w);
    enqueue(w, phase);
    if (phase == Phase::epilogue) fetch_results(w);
  }

  void run_batch(Workspace& workspace, std::int64_t rows, std::int64_t chunk, const std::function<void(std::int64_t)>& before_pass) const override {
    auto& w = static_cast<CudaWorkspace&>(workspace);
    const std::int64_t passes = chunk ? (rows + chunk - 1) / chunk : 0;
    w.pending = true;
    if (profiling()) return run_timed(w, passes, before_pass);
    const bool replays = w.runs++ > 0;  // the libraries set themselves up in the first run, which cannot be captured
    if (replays && passes <= most_captured_passes) {
      before_pass(0);
      if (!w.whole) {
        w.stream.begin_capture();
        enqueue(w, Phase::prologue);
        start_sweep(w);
        for (std::int64_t pass = 0; pass < passes; ++pass) enqueue(w, Phase::body);
        enqueue(w, Phase::epilogue);
        w.whole = w.stream.end_capture();
      }
      w.stream.replay(*w.whole);
    } else {
      const auto phase = [&](Phase which) { replays ? replay(w, which) : enqueue(w, which); };
      phase(Phase::prologue);
      start_sweep(w);
      for (std::int64_t pass = 0; pass < passes; ++pass) {
        before_pass(pass * options_.chunk);
        phase(Phase::body);
      }
      phase(Phase::epilogue);
    }
    fetch_results(w);
  }

  std::string describe() const {
    constexpr const char* names[] = {"prologue: ", "body: ", "epilogue: "};
    std::string text;
    for (int phase = 0; phase < 3; ++phase)
      for (const Step& step : lowering_.steps[phase]) text += names[phase] + step.name + '\n';
    return text;
  }

  Tensor download(Workspace& workspace, int output) const override {
    auto& w = static_cast<CudaWorkspace&>(workspace);
    settle(w);
    const auto k = static_cast<std::size_t>(output);
    Tensor t(graph_->value(outputs_[k]).shape.with_outer(options_.batch));
    std::memcpy(t.raw(), w.host.data() + host_offsets_[graph_->inputs().size() + k], t.bytes());
    return t;
  }

 private:
  std::size_t element_size(int id) const { return graph_->value(id).kind == Kind::real ? 4 : 8; }
  void place(std::size_t bytes) {
    host_offsets_.push_back(host_bytes_);
    host_bytes_ += aligned(bytes);
  }

  std::byte* address(const CudaWorkspace& w, const Operand& operand) const {
    if (operand.constant) return operand.constant->memory.data();
    return operand.buffer < 0 ? nullptr : w.slab.data() + plan_.offsets[static_cast<std::size_t>(operand.buffer)];
  }

  void fetch_results(CudaWorkspace& w) const {
    for (std::size_t k = 0; k < outputs_.size(); ++k)
      w.stream.download(w.host.data() + host_offsets_[graph_->inputs().size() + k], address(w, lowering_.results[k]), sizeof(float) * static_cast<std::size_t>(lowering_.elements(outputs_[k], Form::plain)));
  }

  /// Waits for what is queued, so that the host side of the copies may be touched.
  static void settle(CudaWorkspace& w) {
    if (w.pending) w.stream.synchronize();
    w.pending = false;
  }

  std::int64_t* cursor(CudaWorkspace& w) const { return as<std::int64_t>(address(w, lowering_.cursor())); }

  void start_sweep(CudaWorkspace& w) const {
    if (!options_.chunk) return;
    w.stream.zero(cursor(w), sizeof(std::int64_t));
    for (const auto& [buffer, bytes] : lowering_.accumulators) w.stream.zero(w.slab.data() + plan_.offsets[static_cast<std::size_t>(buffer)], bytes);
  }

  void enqueue(CudaWorkspace& w, Phase phase) const {
    const int p = static_cast<int>(phase);
    for (std::size_t i = 0; i < lowering_.steps[p].size(); ++i) lowering_.steps[p][i].kernel(w.stream, w.pointers[p][i]);
    if (phase == Phase::body) kernels::advance(w.stream, cursor(w), options_.chunk);
  }

  void replay(CudaWorkspace& w, Phase phase) const {
    auto& graph = w.phases[static_cast<int>(phase)];
    if (!graph) {
      w.stream.begin_capture();
      enqueue(w, phase);
      graph = w.stream.end_capture();
    }
    w.stream.replay(*graph);
  }

  /// Every step by itself, with its time on the device to stderr.
  void run_timed(CudaWorkspace& w, std::int64_t passes, const std::function<void(std::int64_t)>& before_pass) const {
    Event before(options_.device_index), after(options_.device_index);
    const auto timed = [&](int p) {
      for (std::size_t i = 0; i < lowering_.steps[p].size(); ++i) {
        before.record(w.stream);
        lowering_.steps[p][i].kernel(w.stream, w.pointers[p][i]);
        after.record(w.stream);
        std::fprintf(stderr, "limpid profile: phase %d step %zu %8.4f ms  %s\n", p, i, static_cast<double>(after.milliseconds_since(before)), lowering_.steps[p][i].name.c_str());
      }
    };
    timed(0);
    start_sweep(w);
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      before_pass(pass * options_.chunk);
      timed(1);
      kernels::advance(w.stream, cursor(w), options_.chunk);
    }
    timed(2);
    fetch_results(w);
  }

  std::shared_ptr<const Graph> graph_;
  std::vector<int> outputs_;
  LoweringOptions options_;
  Schedule schedule_;
  Lowering lowering_;
  MemoryPlan plan_;
  std::vector<std::size_t> host_offsets_;  // inputs, then outputs
  std::size_t host_bytes_ = 0;
};

class CudaBackend : public Backend {
 public:
  std::string_view name() const override { return "cuda"; }
  std::vector<DeviceInfo> devices() const override {
    std::vector<DeviceInfo> all;
    for (const auto& d : device_list()) {
      DeviceInfo info{"cuda:" + std::to_string(all.size()), d.name, "sm_" + std::to_string(d.major) + std::to_string(d.minor), d.memory, {Precision::f32}};
      for (const Precision p : {Precision::tf32, Precision::bf16, Precision::f16})
        if (can(d, p)) info.precisions.push_back(p);
      all.push_back(std::move(info));
    }
    return all;
  }
  std::string why_none() const override { return why_no_device(); }
  bool supports(Precision p) const override {
    return std::any_of(device_list().begin(), device_list().end(), [&](const auto& d) { return can(d, p); });
  }
  std::int64_t preferred_chunk(Precision) const override { return 64; }
  std::size_t default_budget() const override { return std::size_t{288} << 20; }
  std::unique_ptr<Program> lower(std::shared_ptr<const Graph> graph, const std::vector<int>& outputs, const LoweringOptions& options) const override {
    return std::make_unique<CudaProgram>(std::move(graph), outputs, options);
  }

 private:
  /// sm_75 has tensor cores for f16 only; tf32 and bf16 came with sm_80.
  static bool can(const DeviceProperties& d, Precision p) { return p == Precision::f32 || p == Precision::f16 || ((p == Precision::tf32 || p == Precision::bf16) && d.major >= 8); }
};

}  // namespace

std::string describe(const Program& program) {
  const auto* own = dynamic_cast<const CudaProgram*>(&program);
  return own ? own->describe() : std::string();
}

}  // namespace cuda

const Backend* cuda_backend() {
  static const cuda::CudaBackend backend;
  return &backend;
}

}  // namespace limpid
