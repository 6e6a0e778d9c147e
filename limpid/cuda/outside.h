#pragma once
// All that the CUDA backend asks of the outside: devices, memory, streams with copies and captured graphs, events, convolution plans and
// matrix products; and, in launch.h, kernel launches. driver/ implements it with CUDA, cuDNN and cuBLAS; tests/cuda_on_host/ does so in
// plain C++, so that the whole backend, own kernels included, runs on the host under the sanitizers.
#include <limpid/cuda/convolution_pattern.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace limpid::cuda {

struct DeviceProperties {
  std::string name;            // "NVIDIA H200"
  int major = 0, minor = 0;    // compute capability
  std::size_t memory = 0;      // bytes in all
  int multiprocessors = 0;
};

/// The devices that limpid can use (sm_75 and newer); index = CUDA's ordinal among them. Empty without a driver or a device.
const std::vector<DeviceProperties>& device_list();
/// Why the list is empty, in a sentence that says what to do ("There is no NVIDIA driver; ...", "NVIDIA X has compute capability 6.1; ...").
std::string why_no_device();
/// Bytes that are free on the device now.
std::size_t free_memory(int device);

/// Memory of a device, not initialised, aligned to 256 bytes. Throws out_of_memory, naming the bytes.
class DeviceMemory {
 public:
  DeviceMemory(int device, std::size_t bytes);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  int device_;
  std::byte* data_ = nullptr;
  std::size_t bytes_;
};

/// Page-locked host memory, which a stream copies from and to without waiting.
class PinnedMemory {
 public:
  explicit PinnedMemory(std::size_t bytes);
  ~PinnedMemory();
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_;
};

/// Work recorded by Stream::begin_capture ... end_capture, to be replayed with the same addresses.
class CapturedGraph {
 public:
  virtual ~CapturedGraph() = default;
};

/// An ordered queue of work on one device, with the library handles that work in it. Used by one thread at a time; several streams run
/// from several threads. Every function only queues, but for `synchronize`; host memory must live, unchanged, until then.
/// All throw Error(internal) with CUDA's own words when a call fails, out_of_memory where that is the reason.
class Stream {
 public:
  explicit Stream(int device);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  int device() const;
  void upload(void* device, const void* host, std::size_t bytes);
  void download(void* host, const void* device, std::size_t bytes);
  void zero(void* device, std::size_t bytes);
  void synchronize();

  /// From here to end_capture, work is recorded, not run. upload, download and synchronize are not allowed in between.
  void begin_capture();
  std::unique_ptr<CapturedGraph> end_capture();
  void replay(const CapturedGraph& graph);

  struct State;  // the implementation's
  State& state() const { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

/// A point in a stream's queue.
class Event {
 public:
  explicit Event(int device);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(Stream& stream);
  /// Milliseconds from `start` to this event; waits for both.
  float milliseconds_since(const Event& start) const;

 private:
  void* handle_ = nullptr;
};

struct ConvolutionArguments {
  const void* in = nullptr;      // forward: x; backward: dy
  const void* weight = nullptr;  // [outputs, kernel rows, kernel columns, channels / groups] in the pattern's type
  void* out = nullptr;           // forward: y; backward: dx
  const void* bias = nullptr;    // [outputs] in the plan's bias_type()
  const void* addend = nullptr;  // like out
  void* mask = nullptr;          // bits of out's elements in memory order, eight a byte, lowest first. Forward: written; backward: read
  void* workspace = nullptr;     // workspace_bytes()
};

/// One way to compute a pattern on a device. Const; streams of several threads may run it at once.
class ConvolutionPlan {
 public:
  virtual ~ConvolutionPlan() = default;
  virtual std::size_t workspace_bytes() const = 0;
  virtual DType bias_type() const = 0;
  /// "engine 47 knobs ..." for profiles and the plan cache; make_plan takes it back.
  virtual std::string name() const = 0;
  virtual void run(Stream& stream, const ConvolutionArguments& arguments) const = 0;
};

/// The library's plans for exactly this pattern, best guess first, at most `most`; empty where it has none for a part of the fusion.
/// `deterministic`: only plans that give the same bits every time.
std::vector<std::unique_ptr<ConvolutionPlan>> library_plans(int device, const ConvolutionPattern& pattern, bool deterministic, std::size_t most);
/// The plan of that name again (from an earlier library_plans of the same library version and device type); null when it is not to be had.
std::unique_ptr<ConvolutionPlan> library_plan(int device, const ConvolutionPattern& pattern, const std::string& name);
/// What makes a plan's name valid elsewhere: "cudnn 91900 sm_90 NVIDIA H200".
std::string library_identity(int device);

/// c[m,n] = a[m,k] * b, all row-major f32; b is [n,k] when transposed, else [k,n]. tf32: products may be rounded to 10 bits.
struct Product {
  std::int64_t m = 0, n = 0, k = 0;
  bool transposed_b = false, tf32 = false;
};
void multiply(Stream& stream, const Product& product, const float* a, const float* b, float* c);

}  // namespace limpid::cuda
