#pragma once
// What a backend offers: it lowers a whole graph to a program, and so owns its layouts, fusions and memory.
#include <limpid/runtime/device.h>
#include <limpid/runtime/schedule.h>

#include <algorithm>
#include <functional>
#include <memory>

namespace limpid {

struct LoweringOptions {
  Precision precision = Precision::f32;
  int device_index = 0;
  std::int64_t batch = 1;  // samples a run takes
  std::int64_t chunk = 0;  // sweep rows a pass of the body takes (0 without a sweep)
  bool plan_memory = true;
  bool fuse_backward = true;  // a backend may form a ReLU's backward op inside what stands in front of it
};

/// The state of one run: inputs, intermediate values, results. One run at a time.
class Workspace {
 public:
  virtual ~Workspace() = default;
};

/// A lowered graph. Const, shared by threads; each run brings its own workspace.
class Program {
 public:
  virtual ~Program() = default;
  /// Bytes of the device's memory that one workspace takes.
  virtual std::size_t workspace_bytes() const = 0;
  virtual std::unique_ptr<Workspace> make_workspace() const = 0;
  /// Input number `input` of the graph: [batch, ...] or, for a value that occurs once, its own shape. f32 or f64 (real), i64 (index), f64 (coefficient).
  virtual void upload(Workspace& workspace, int input, const Tensor& tensor) const = 0;
  /// Runs a phase. For the body: the rows [first_row, first_row + rows) of the sweep, rows <= chunk; the first call (first_row 0) starts
  /// with the reducers' results at zero.
  virtual void run(Workspace& workspace, Phase phase, std::int64_t first_row, std::int64_t rows) const = 0;
  /// One batch whole: the prologue, the body over `rows` rows of the sweep in passes of `chunk`, the epilogue. Calls `before_pass` with a
  /// pass's first row before it starts (once for all of them where they are one launch); it may throw, which ends the run.
  virtual void run_batch(Workspace& workspace, std::int64_t rows, std::int64_t chunk, const std::function<void(std::int64_t first_row)>& before_pass) const {
    run(workspace, Phase::prologue, 0, 0);
    for (std::int64_t row = 0; row < rows; row += chunk) {
      before_pass(row);
      run(workspace, Phase::body, row, std::min(chunk, rows - row));
    }
    run(workspace, Phase::epilogue, 0, 0);
  }
  /// Output number `output`: [batch, ...] in f32 (f64 for an f64 program).
  virtual Tensor download(Workspace& workspace, int output) const = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  /// The devices it found; empty where it cannot run.
  virtual std::vector<DeviceInfo> devices() const = 0;
  /// Why there are none, in a sentence that says what to do.
  virtual std::string why_none() const { return "No device was found."; }
  virtual bool supports(Precision precision) const = 0;
  /// Sweep rows beyond which larger chunks gain nothing.
  virtual std::int64_t preferred_chunk(Precision precision) const = 0;
  /// Bytes of an element of an `index` value that the graph computes (pool taps, ReLU masks), at most.
  virtual std::size_t index_bytes() const { return 1; }
  /// Bytes that a pass may take so that small rows (crops) come in more than preferred_chunk(), up to four times as many.
  virtual std::size_t pass_bytes() const { return 0; }
  /// The memory budget when the caller names none, in bytes.
  virtual std::size_t default_budget() const = 0;
  /// The graph is already rewritten by the passes and free of dead nodes.
  virtual std::unique_ptr<Program> lower(std::shared_ptr<const Graph> graph, const std::vector<int>& outputs, const LoweringOptions& options) const = 0;
};

/// The backends; null where a build lacks one.
const Backend* reference_backend();
const Backend* cpu_backend();
const Backend* cuda_backend();

struct BackendChoice {
  const Backend* backend;
  int device_index;
};
/// "auto", "cpu", "cuda", "cuda:N" or "reference". Throws invalid_argument for another name, not_found where the device is missing.
BackendChoice choose_backend(std::string_view device);

}  // namespace limpid
