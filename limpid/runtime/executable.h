#pragma once
// A compiled graph: passes have run, a backend has lowered it, buffers are planned. Const and shared by threads.
#include <limpid/runtime/backend.h>
#include <limpid/runtime/passes/passes.h>

#include <atomic>
#include <functional>
#include <mutex>

namespace limpid {

/// Raised by another thread (or a signal handler) to stop a run at the next chunk.
class CancelToken {
 public:
  void cancel() noexcept { raised_.store(true, std::memory_order_relaxed); }
  bool cancelled() const noexcept { return raised_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> raised_{false};
};

struct RunOptions {
  std::function<void(double fraction)> progress;  // called with values from 0 to 1 as the run goes on
  const CancelToken* cancel = nullptr;
};

struct CompileOptions {
  std::string device = "auto";
  Precision precision = Precision::automatic;
  int threads = 0;                   // 0: as many as OpenMP would take; at most the processors there are
  std::size_t max_memory = 0;        // bytes of workspace a run may take; 0: the backend's default
  std::int64_t internal_batch_size = 0;  // sweep rows a pass; 0: what the budget and the backend prefer
  PassOptions passes;
};

class Executable {
 public:
  Executable(const Graph& graph, std::vector<int> outputs, CompileOptions options);

  /// One tensor per input of the graph, in order: [N, ...] (the same N for all) or, for an input that occurs once, its own shape.
  /// Real inputs f32 or f64, index inputs i64, coefficients f64. Returns the outputs as [N, ...] in f32 (f64 for precision f64).
  /// Throws invalid_argument for wrong shapes, out_of_memory when one sample does not fit the budget, cancelled.
  std::vector<Tensor> run(std::span<const Tensor> inputs, const RunOptions& options = {}) const;

  /// Compiles for a batch of n samples now, so that the first run need not.
  void prepare(std::int64_t n) const { slice(n); }

  /// Bytes of the largest workspace used so far.
  std::size_t peak_bytes() const { return peak_.load(); }
  /// Sweep rows a pass takes for a batch of n samples (0 without a sweep). Compiles for that batch if need be.
  std::int64_t chunk(std::int64_t n) const { return slice(n).chunk; }
  const Graph& graph() const { return *graph_; }
  std::string_view backend() const { return choice_.backend->name(); }
  Precision precision() const { return precision_; }

 private:
  struct Compiled {  // for one batch size
    std::unique_ptr<Program> program;
    std::int64_t batch = 0, chunk = 0;
    mutable std::mutex mutex;
    mutable std::vector<std::unique_ptr<Workspace>> idle;
  };
  const Compiled& compiled(std::int64_t batch) const;
  std::int64_t fitting_batch(std::int64_t samples) const;
  const Compiled& slice(std::int64_t samples) const;
  std::int64_t check(std::span<const Tensor> inputs) const;

  std::shared_ptr<const Graph> graph_;
  std::vector<int> outputs_;
  CompileOptions options_;
  BackendChoice choice_;
  Precision precision_;
  std::size_t budget_;
  Schedule schedule_;
  mutable std::mutex mutex_;
  mutable std::map<std::int64_t, std::unique_ptr<Compiled>> compiled_;
  mutable std::atomic<std::int64_t> most_samples_{256};  // at once; less where memory ran out before
  mutable std::atomic<std::size_t> peak_{0};
};

/// Rewrites and lowers the part of `graph` that `outputs` need. The graph may be destroyed afterwards.
std::shared_ptr<const Executable> compile(const Graph& graph, std::span<const Value> outputs, const CompileOptions& options = {});

/// Executables by the text of their graph, so that repeated work compiles once. Shared by threads; the oldest leave beyond `capacity`.
class CompileCache {
 public:
  explicit CompileCache(std::size_t capacity = 16) : capacity_(capacity) {}
  std::shared_ptr<const Executable> get(const Graph& graph, std::span<const Value> outputs, const CompileOptions& options);

 private:
  std::size_t capacity_;
  std::mutex mutex_;
  std::vector<std::pair<std::string, std::shared_ptr<const Executable>>> entries_;  // oldest first
};

}  // namespace limpid
