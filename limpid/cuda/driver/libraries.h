#pragma once
// cuDNN and cuBLAS as tables of the functions that are used. They are opened by name when a GPU needs them: loading cuBLAS takes 90 ms, which
// the program does not pay where it computes on the CPU, and where they are missing everything else runs.
#include <cublas_v2.h>
#include <cudnn_backend.h>
#include <limpid/cuda/driver/check.h>

#include <string>

namespace limpid::cuda {

struct CudnnFunctions {
  decltype(&::cudnnGetVersion) get_version;
  decltype(&::cudnnGetErrorString) get_error_string;
  decltype(&::cudnnGetLastErrorString) get_last_error_string;
  decltype(&::cudnnCreate) create;
  decltype(&::cudnnDestroy) destroy;
  decltype(&::cudnnSetStream) set_stream;
  decltype(&::cudnnBackendCreateDescriptor) create_descriptor;
  decltype(&::cudnnBackendDestroyDescriptor) destroy_descriptor;
  decltype(&::cudnnBackendSetAttribute) set_attribute;
  decltype(&::cudnnBackendGetAttribute) get_attribute;
  decltype(&::cudnnBackendFinalize) finalize;
  decltype(&::cudnnBackendExecute) execute;
};

struct CublasFunctions {
  decltype(&::cublasGetStatusString) get_status_string;
  decltype(&::cublasCreate_v2) create;
  decltype(&::cublasDestroy_v2) destroy;
  decltype(&::cublasSetStream_v2) set_stream;
  decltype(&::cublasSetWorkspace_v2) set_workspace;
  decltype(&::cublasSetMathMode) set_math_mode;
  decltype(&::cublasSgemm_v2) sgemm;
};

/// Both throw Error(unsupported), saying what was looked for and how to get it.
const CudnnFunctions& cudnn();
const CublasFunctions& cublas();
/// Whether cuDNN can be opened; else `why` says what `cudnn` would throw. Cheap: 0.2 ms.
bool cudnn_is_there(std::string& why);

void check(cudnnStatus_t status, const char* what);
void check(cublasStatus_t status, const char* what);

}  // namespace limpid::cuda
