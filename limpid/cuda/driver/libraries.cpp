#include <dlfcn.h>
#include <limpid/cuda/driver/libraries.h>
#include <limpid/runtime/error.h>

#include <initializer_list>

namespace limpid::cuda {
namespace {

/// The first of the names that the loader can open; never closed, since the libraries' threads and modules outlive any owner.
void* open(std::initializer_list<std::string> names, std::string& why) {
  for (const auto& name : names) {
    if (void* library = dlopen(name.c_str(), RTLD_LAZY | RTLD_LOCAL)) return library;
    if (const char* words = dlerror()) why = words;
  }
  return nullptr;
}

template <class F>
void find(void* library, const char* name, F& function, const char* whose) {
  function = reinterpret_cast<F>(dlsym(library, name));
  if (!function) fail(ErrorCode::unsupported, whose, " has no function ", name, "; this limpid was built for another version of it.");
}

const std::string cudnn_soname = "libcudnn.so." + std::to_string(CUDNN_MAJOR), cublas_soname = "libcublas.so." + std::to_string(CUBLAS_VER_MAJOR);

void* open_cudnn(std::string& why) {
  static std::string words;
  static void* const library = [] {
    void* opened = open({LIMPID_CUDNN_LIBRARY, cudnn_soname}, words);
    if (!opened) words = "cuDNN was not found (" + words + "); install it, for instance with pip install nvidia-cudnn-cu" + std::to_string(CUDART_VERSION / 1000) + ", and put its lib folder into LD_LIBRARY_PATH.";
    return opened;
  }();
  why = words;
  return library;
}

}  // namespace

bool cudnn_is_there(std::string& why) { return open_cudnn(why) != nullptr; }

const CudnnFunctions& cudnn() {
  static const CudnnFunctions functions = [] {
    std::string why;
    void* library = open_cudnn(why);
    if (!library) throw Error(ErrorCode::unsupported, why);
    CudnnFunctions f;
    const char* whose = "cuDNN";
    find(library, "cudnnGetVersion", f.get_version, whose);
    find(library, "cudnnGetErrorString", f.get_error_string, whose);
    find(library, "cudnnGetLastErrorString", f.get_last_error_string, whose);
    find(library, "cudnnCreate", f.create, whose);
    find(library, "cudnnDestroy", f.destroy, whose);
    find(library, "cudnnSetStream", f.set_stream, whose);
    find(library, "cudnnBackendCreateDescriptor", f.create_descriptor, whose);
    find(library, "cudnnBackendDestroyDescriptor", f.destroy_descriptor, whose);
    find(library, "cudnnBackendSetAttribute", f.set_attribute, whose);
    find(library, "cudnnBackendGetAttribute", f.get_attribute, whose);
    find(library, "cudnnBackendFinalize", f.finalize, whose);
    find(library, "cudnnBackendExecute", f.execute, whose);
    return f;
  }();
  return functions;
}

const CublasFunctions& cublas() {
  static const CublasFunctions functions = [] {
    std::string why;
    void* library = open({LIMPID_CUBLAS_LIBRARY, cublas_soname}, why);
    if (!library) fail(ErrorCode::unsupported, "cuBLAS was not found (", why, "); install it, for instance with pip install nvidia-cublas, and put its lib folder into LD_LIBRARY_PATH.");
    CublasFunctions f;
    const char* whose = "cuBLAS";
    find(library, "cublasGetStatusString", f.get_status_string, whose);
    find(library, "cublasCreate_v2", f.create, whose);
    find(library, "cublasDestroy_v2", f.destroy, whose);
    find(library, "cublasSetStream_v2", f.set_stream, whose);
    find(library, "cublasSetWorkspace_v2", f.set_workspace, whose);
    find(library, "cublasSetMathMode", f.set_math_mode, whose);
    find(library, "cublasSgemm_v2", f.sgemm, whose);
    return f;
  }();
  return functions;
}

void check(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char more[1024] = "";
  cudnn().get_last_error_string(more, sizeof more);
  const bool memory = status == CUDNN_STATUS_ALLOC_FAILED;
  const bool unsupported = status / 1000 == CUDNN_STATUS_NOT_SUPPORTED / 1000;
  fail(memory ? ErrorCode::out_of_memory : unsupported ? ErrorCode::unsupported : ErrorCode::internal, "cuDNN: ", what, ": ", cudnn().get_error_string(status), *more ? " " : "", more);
}

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail(status == CUBLAS_STATUS_ALLOC_FAILED ? ErrorCode::out_of_memory : ErrorCode::internal, "cuBLAS: ", what, ": ", cublas().get_status_string(status), ".");
}

}  // namespace limpid::cuda
