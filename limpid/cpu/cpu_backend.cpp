// The CPU backend: a lowered graph as lists of oneDNN primitives and own kernels over one slab of memory.
#include <limpid/cpu/describe.h>
#include <limpid/cpu/lowering.h>
#include <limpid/runtime/parallel.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <unistd.h>

namespace limpid {
namespace cpu {
namespace {

/// A step bound to addresses.
struct Bound {
  std::unordered_map<int, dnnl::memory> arguments;
  std::vector<void*> pointers;
};

class CpuWorkspace : public Workspace {
 public:
  explicit CpuWorkspace(std::size_t bytes) : slab(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096 + 4096), &std::free), stream(engine()) {
    if (!slab) fail(ErrorCode::out_of_memory, "No memory for a workspace of ", bytes, " bytes; lower max_memory (--max-memory).");
  }
  char* at(std::size_t offset) const { return static_cast<char*>(slab.get()) + offset; }

  std::unique_ptr<void, decltype(&std::free)> slab;
  dnnl::stream stream;
  std::vector<Bound> bound[3];
  std::vector<double> seconds[3];
};

bool profiling() {
  static const bool on = std::getenv("LIMPID_PROFILE") != nullptr;
  return on;
}

class CpuProgram : public Program {
 public:
  CpuProgram(std::shared_ptr<const Graph> graph, std::vector<int> outputs, const LoweringOptions& options)
      : graph_(std::move(graph)), outputs_(std::move(outputs)), options_(options), schedule_(make_schedule(*graph_, outputs_)), lowering_(*graph_, outputs_, schedule_, options_) {
    lowering_.run();
    plan_ = plan_memory(lowering_.buffers, options.plan_memory);
  }

  std::size_t workspace_bytes() const override { return plan_.bytes; }

  std::unique_ptr<Workspace> make_workspace() const override {
    auto w = std::make_unique<CpuWorkspace>(plan_.bytes);
    for (int phase = 0; phase < 3; ++phase) {
      for (const Step& step : lowering_.steps[phase]) {
        Bound bound;
        for (const auto& [name, operand] : step.arguments)
          bound.arguments.emplace(name, operand.weights && operand.offset == 0 ? operand.weights->memory : dnnl::memory(operand.desc, engine(), address(*w, operand)));
        for (const auto& operand : step.operands) bound.pointers.push_back(address(*w, operand));
        w->bound[phase].push_back(std::move(bound));
      }
      w->seconds[phase].resize(w->bound[phase].size());
    }
    return w;
  }

  void upload(Workspace& workspace, int input, const Tensor& tensor) const override {
    const int id = graph_->inputs()[static_cast<std::size_t>(input)];
    const Tensor converted = graph_->value(id).kind == Kind::real ? tensor.to(DType::f32) : tensor;
    if (!schedule_.lifetimes[static_cast<std::size_t>(id)].stored()) return;
    std::memcpy(address(static_cast<CpuWorkspace&>(workspace), lowering_.at(id)), converted.raw(), converted.bytes());
  }

  void run(Workspace& workspace, Phase phase, std::int64_t first_row, std::int64_t rows) const override {
    auto& w = static_cast<CpuWorkspace&>(workspace);
    run_steps(w, phase, first_row, rows, profiling() ? &w.seconds[static_cast<int>(phase)] : nullptr);
    if (profiling() && phase == Phase::epilogue) print_profile(w);
  }

  std::vector<std::pair<std::string, double>> timed_run(Workspace& workspace, Phase phase, std::int64_t first_row, std::int64_t rows) const {
    const auto& steps = lowering_.steps[static_cast<int>(phase)];
    std::vector<double> seconds(steps.size());
    run_steps(static_cast<CpuWorkspace&>(workspace), phase, first_row, rows, &seconds);
    std::vector<std::pair<std::string, double>> times;
    for (std::size_t i = 0; i < steps.size(); ++i) times.emplace_back(steps[i].name, seconds[i]);
    return times;
  }

  std::string describe() const {
    constexpr const char* phases[] = {"prologue: ", "body: ", "epilogue: "};
    std::string text;
    for (int phase = 0; phase < 3; ++phase)
      for (const Step& step : lowering_.steps[phase]) text += phases[phase] + step.name + '\n';
    return text;
  }

  Tensor download(Workspace& workspace, int output) const override {
    const Operand& result = lowering_.results[static_cast<std::size_t>(output)];
    const int id = outputs_[static_cast<std::size_t>(output)];
    Tensor t(graph_->value(id).shape.with_outer(options_.batch));
    std::memcpy(t.raw(), address(static_cast<const CpuWorkspace&>(workspace), result), t.bytes());
    return t;
  }

 private:
  /// Adds each step's time to `seconds` unless that is null.
  void run_steps(CpuWorkspace& w, Phase phase, std::int64_t first_row, std::int64_t rows, std::vector<double>* seconds) const {
    const auto& steps = lowering_.steps[static_cast<int>(phase)];
    const auto& bound = w.bound[static_cast<int>(phase)];
    if (phase == Phase::body && first_row == 0)
      for (const auto& [buffer, bytes] : lowering_.accumulators) std::memset(w.at(plan_.offsets[static_cast<std::size_t>(buffer)]), 0, bytes);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const auto start = seconds ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point{};
      if (steps[i].kernel) steps[i].kernel(bound[i].pointers, first_row, rows);
      else steps[i].primitive.execute(w.stream, bound[i].arguments);
      if (seconds) (*seconds)[i] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    w.stream.wait();
  }

  void* address(const CpuWorkspace& w, const Operand& operand) const {
    if (operand.weights) return static_cast<char*>(operand.weights->memory.get_data_handle()) + operand.offset;
    if (operand.tensor) return const_cast<void*>(operand.tensor->raw());
    return operand.buffer < 0 ? nullptr : w.at(plan_.offsets[static_cast<std::size_t>(operand.buffer)] + operand.offset);
  }

  void print_profile(CpuWorkspace& w) const {
    for (int phase = 0; phase < 3; ++phase)
      for (std::size_t i = 0; i < w.seconds[phase].size(); ++i) {
        std::fprintf(stderr, "limpid profile: phase %d step %zu %8.3f ms  %s\n", phase, i, 1e3 * w.seconds[phase][i], lowering_.steps[phase][i].name.c_str());
        w.seconds[phase][i] = 0;
      }
  }

  std::shared_ptr<const Graph> graph_;
  std::vector<int> outputs_;
  LoweringOptions options_;
  Schedule schedule_;
  Lowering lowering_;
  MemoryPlan plan_;
};

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "CPU";
}

class CpuBackend : public Backend {
 public:
  std::string_view name() const override { return "cpu"; }
  std::vector<DeviceInfo> devices() const override {
    const auto memory = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGE_SIZE));
    DeviceInfo d{"cpu", processor_name() + ", " + std::to_string(thread_count()) + " threads", capability(), memory, {Precision::f32}};
    if (supports(Precision::bf16)) d.precisions.push_back(Precision::bf16);
    return {d};
  }
  bool supports(Precision p) const override {
    return p == Precision::f32 || (p == Precision::bf16 && (isa("avx512_bf16") || isa("amx_bf16")));
  }
  /// In f32 Winograd's many weights are read once a pass: ResNet-18's IG-50 takes 0.77 s of processor time in passes of 25, 0.86 in passes of 10.
  std::int64_t preferred_chunk(Precision precision) const override { return precision == Precision::f32 ? 25 : 10; }
  std::size_t pass_bytes() const override { return std::size_t{64} << 20; }
  std::size_t default_budget() const override { return std::size_t{512} << 20; }
  std::unique_ptr<Program> lower(std::shared_ptr<const Graph> graph, const std::vector<int>& outputs, const LoweringOptions& options) const override {
    return std::make_unique<CpuProgram>(std::move(graph), outputs, options);
  }

 private:
  static bool isa(std::string_view feature) {
    const std::string& flags = cpu_flags();
    const auto at = flags.find(feature);  // no feature's name is a part of another that comes before it
    return at != std::string::npos && flags[at - 1] == ' ' && flags[at + feature.size()] == ' ';
  }
  static const std::string& cpu_flags() {
    static const std::string flags = [] {
      std::ifstream info("/proc/cpuinfo");
      for (std::string line; std::getline(info, line);)
        if (line.starts_with("flags")) return line + " ";
      return std::string(" ");
    }();
    return flags;
  }
  static std::string capability() {
    std::string found;
    for (const std::string_view feature : {"avx2", "avx512f", "avx512_bf16", "amx_bf16"})
      if (isa(feature)) found.append(found.empty() ? "" : " ").append(feature);
    return found;
  }
};

}  // namespace

std::string describe(const Program& program) {
  const auto* own = dynamic_cast<const CpuProgram*>(&program);
  return own ? own->describe() : std::string();
}

std::vector<std::pair<std::string, double>> timed_run(const Program& program, Workspace& workspace, Phase phase, std::int64_t first_row, std::int64_t rows) {
  const auto* own = dynamic_cast<const CpuProgram*>(&program);
  require(own, "cpu::timed_run: the program belongs to another backend.");
  return own->timed_run(workspace, phase, first_row, rows);
}

}  // namespace cpu

const Backend* cpu_backend() {
  static const cpu::CpuBackend backend;
  return &backend;
}

}  // namespace limpid
