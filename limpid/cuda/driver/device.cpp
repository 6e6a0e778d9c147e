// Which devices there are, and their memory.
#include <limpid/cuda/driver/libraries.h>
#include <limpid/runtime/error.h>

namespace limpid::cuda {
namespace {

struct Discovery {
  std::vector<DeviceProperties> devices;
  std::vector<int> ordinals;  // CUDA's number of each
  std::string why_none;
};

Discovery discover() {
  Discovery found;
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorInsufficientDriver || status == cudaErrorStubLibrary) {
    // CUDA says the same of no driver at all and of one that is too old: the version tells them apart.
    int driver = 0;
    cudaDriverGetVersion(&driver);
    if (driver == 0) found.why_none = "There is no NVIDIA driver; install the driver of your GPU, or use --device cpu.";
    else
      found.why_none = "The NVIDIA driver is for CUDA " + std::to_string(driver / 1000) + "." + std::to_string(driver % 1000 / 10) + ", but this limpid needs CUDA " + std::to_string(CUDART_VERSION / 1000) +
                       "; install a newer driver, or use --device cpu.";
    return found;
  }
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    found.why_none = "The NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES may hide it); use --device cpu.";
    return found;
  }
  if (status != cudaSuccess) {
    found.why_none = std::string("CUDA does not start: ") + cudaGetErrorString(status) + "; use --device cpu.";
    return found;
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p{};
    if (const cudaError_t refused = cudaGetDeviceProperties(&p, i); refused != cudaSuccess) {
      found.why_none = "GPU " + std::to_string(i) + " does not answer: " + cudaGetErrorString(refused) + "; use --device cpu.";
      continue;
    }
    if (p.major * 10 + p.minor < 75) {
      found.why_none = std::string(p.name) + " has compute capability " + std::to_string(p.major) + "." + std::to_string(p.minor) + ", but limpid needs 7.5 (Turing) or newer; use --device cpu.";
      continue;
    }
    found.devices.push_back({p.name, p.major, p.minor, p.totalGlobalMem, p.multiProcessorCount});
    found.ordinals.push_back(i);
  }
  if (!found.devices.empty() && !cudnn_is_there(found.why_none)) found.devices.clear();
  return found;
}

const Discovery& discovery() {
  static const Discovery found = discover();
  return found;
}

}  // namespace

const std::vector<DeviceProperties>& device_list() { return discovery().devices; }
std::string why_no_device() { return discovery().devices.empty() ? discovery().why_none : ""; }

void use_device(int device) {
  if (device < 0 || device >= static_cast<int>(device_list().size())) {
    if (device_list().empty()) throw Error(ErrorCode::not_found, why_no_device());
    fail(ErrorCode::not_found, "There is no device cuda:", device, "; this machine has ", device_list().size(), " that limpid can use.");
  }
  check(cudaSetDevice(discovery().ordinals[static_cast<std::size_t>(device)]), "cudaSetDevice");
}

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // an error that is not sticky must not be seen again by the next call
  fail(status == cudaErrorMemoryAllocation ? ErrorCode::out_of_memory : ErrorCode::internal, "CUDA: ", what, ": ", cudaGetErrorString(status), ".");
}

std::size_t free_memory(int device) {
  use_device(device);
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free;
}

DeviceMemory::DeviceMemory(int device, std::size_t bytes) : device_(device), bytes_(bytes) {
  if (bytes == 0) return;
  use_device(device);
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);  // aligned to 256 bytes at least
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    fail(ErrorCode::out_of_memory, "The GPU has no ", bytes, " bytes left; give a smaller batch or memory budget.");
  }
  check(status, "cudaMalloc");
  data_ = static_cast<std::byte*>(memory);
}

DeviceMemory::~DeviceMemory() {
  if (data_) cudaFree(data_);  // waits for the work that uses it; an error at this point is that of earlier work and has been seen
}

PinnedMemory::PinnedMemory(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  void* memory = nullptr;
  const cudaError_t status = cudaHostAlloc(&memory, bytes, cudaHostAllocPortable);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    fail(ErrorCode::out_of_memory, "The system has no ", bytes, " bytes of page-locked memory left.");
  }
  check(status, "cudaHostAlloc");
  data_ = static_cast<std::byte*>(memory);
}

PinnedMemory::~PinnedMemory() {
  if (data_) cudaFreeHost(data_);
}

}  // namespace limpid::cuda
