#pragma once
// A stream's handles.
#include <limpid/cuda/driver/libraries.h>

#include <optional>

namespace limpid::cuda {

struct Stream::State {
  explicit State(int device);
  ~State();

  int device;
  cudaStream_t stream = nullptr;

  /// Made when first asked for, also while recording. Both work in this stream.
  cudnnHandle_t cudnn_handle();
  cublasHandle_t cublas_handle();

 private:
  cudnnHandle_t cudnn_ = nullptr;
  cublasHandle_t cublas_ = nullptr;
  std::optional<DeviceMemory> cublas_workspace_;
};

cudaStream_t native(Stream& stream);

}  // namespace limpid::cuda
