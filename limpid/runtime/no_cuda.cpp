// Stands in where the CUDA backend is not built.
#include <limpid/runtime/backend.h>

namespace limpid {
const Backend* cuda_backend() { return nullptr; }
}  // namespace limpid
