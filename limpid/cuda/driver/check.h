#pragma once
// Checks of CUDA's calls, and which device they are about.
#include <cuda_runtime_api.h>
#include <limpid/cuda/outside.h>

namespace limpid::cuda {

/// Throws Error with CUDA's words unless `status` is success (out_of_memory where that is the reason); `what` names the call.
void check(cudaError_t status, const char* what);
/// Makes the calls of this thread be about device number `device` of device_list().
void use_device(int device);

}  // namespace limpid::cuda
