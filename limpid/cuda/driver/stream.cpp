// Streams, captured graphs and events.
#include <limpid/cuda/driver/stream.h>
#include <limpid/runtime/error.h>

namespace limpid::cuda {
namespace {

/// While it lives, this thread may allocate and create handles although its stream records.
class RelaxedCapture {
 public:
  RelaxedCapture() { check(cudaThreadExchangeStreamCaptureMode(&mode_), "cudaThreadExchangeStreamCaptureMode"); }
  ~RelaxedCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

class Graph : public CapturedGraph {
 public:
  Graph(int on_device, cudaGraph_t recorded) : device(on_device) {
    const cudaError_t status = cudaGraphInstantiate(&executable, recorded, 0);
    cudaGraphDestroy(recorded);
    check(status, "cudaGraphInstantiate");
  }
  ~Graph() override { cudaGraphExecDestroy(executable); }

  int device;
  cudaGraphExec_t executable = nullptr;
};

}  // namespace

Stream::State::State(int on_device) : device(on_device) {
  use_device(device);
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
}

Stream::State::~State() {
  try {
    use_device(device);
  } catch (const Error&) {
    return;  // the driver is shutting down
  }
  if (cudnn_) cudnn().destroy(cudnn_);
  if (cublas_) cublas().destroy(cublas_);
  cudaStreamDestroy(stream);
}

cudnnHandle_t Stream::State::cudnn_handle() {
  use_device(device);
  if (!cudnn_) {
    const RelaxedCapture relaxed;
    check(cudnn().create(&cudnn_), "cudnnCreate");
    check(cudnn().set_stream(cudnn_, stream), "cudnnSetStream");
  }
  return cudnn_;
}

cublasHandle_t Stream::State::cublas_handle() {
  use_device(device);
  if (!cublas_) {
    const RelaxedCapture relaxed;
    check(cublas().create(&cublas_), "cublasCreate");
    check(cublas().set_stream(cublas_, stream), "cublasSetStream");
    // Its own workspace: the pool that it would otherwise take from may not be used in a captured graph by several streams. Sizes as NVIDIA advises.
    cublas_workspace_.emplace(device, (device_list()[static_cast<std::size_t>(device)].major >= 9 ? 32u : 4u) << 20);
    check(cublas().set_workspace(cublas_, cublas_workspace_->data(), cublas_workspace_->bytes()), "cublasSetWorkspace");
  }
  return cublas_;
}

Stream::Stream(int device) : state_(std::make_unique<State>(device)) {}
Stream::~Stream() = default;
int Stream::device() const { return state_->device; }

cudaStream_t native(Stream& stream) {
  use_device(stream.device());  // a kernel is launched on the thread's device, which must be the stream's
  return stream.state().stream;
}

void Stream::upload(void* device, const void* host, std::size_t bytes) {
  if (bytes) check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, native(*this)), "cudaMemcpyAsync to the device");
}
void Stream::download(void* host, const void* device, std::size_t bytes) {
  if (bytes) check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, native(*this)), "cudaMemcpyAsync from the device");
}
void Stream::zero(void* device, std::size_t bytes) {
  if (bytes) check(cudaMemsetAsync(device, 0, bytes, native(*this)), "cudaMemsetAsync");
}
void Stream::synchronize() { check(cudaStreamSynchronize(native(*this)), "cudaStreamSynchronize"); }

void Stream::begin_capture() { check(cudaStreamBeginCapture(native(*this), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture"); }

std::unique_ptr<CapturedGraph> Stream::end_capture() {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(native(*this), &graph), "cudaStreamEndCapture");
  return std::make_unique<Graph>(state_->device, graph);
}

void Stream::replay(const CapturedGraph& graph) {
  const auto& recorded = static_cast<const Graph&>(graph);
  if (recorded.device != state_->device) fail(ErrorCode::internal, "A graph recorded on cuda:", recorded.device, " cannot run on cuda:", state_->device, ".");
  check(cudaGraphLaunch(recorded.executable, native(*this)), "cudaGraphLaunch");
}

Event::Event(int device) {
  use_device(device);
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "cudaEventCreate");
  handle_ = event;
}
Event::~Event() { cudaEventDestroy(static_cast<cudaEvent_t>(handle_)); }
void Event::record(Stream& stream) { check(cudaEventRecord(static_cast<cudaEvent_t>(handle_), native(stream)), "cudaEventRecord"); }
float Event::milliseconds_since(const Event& start) const {
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(start.handle_)), "cudaEventSynchronize");
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(handle_)), "cudaEventSynchronize");
  float ms = 0;
  check(cudaEventElapsedTime(&ms, static_cast<cudaEvent_t>(start.handle_), static_cast<cudaEvent_t>(handle_)), "cudaEventElapsedTime");
  return ms;
}

}  // namespace limpid::cuda
