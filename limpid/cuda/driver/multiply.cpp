// Matrix products by cuBLAS.
#include <limpid/cuda/driver/stream.h>
#include <limpid/runtime/error.h>

#include <limits>

namespace limpid::cuda {

void multiply(Stream& stream, const Product& p, const float* a, const float* b, float* c) {
  for (const std::int64_t extent : {p.m, p.n, p.k})
    if (extent < 1 || extent > std::numeric_limits<int>::max()) fail(ErrorCode::unsupported, "cuda: a product of ", p.m, "x", p.k, " and ", p.k, "x", p.n, " is beyond cuBLAS's extents; give a smaller batch.");
  const auto m = static_cast<int>(p.m), n = static_cast<int>(p.n), k = static_cast<int>(p.k);
  const cublasHandle_t handle = stream.state().cublas_handle();
  check(cublas().set_math_mode(handle, p.tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_PEDANTIC_MATH), "cublasSetMathMode");
  // cuBLAS counts column by column: what it takes for c transposed [n, m] = b transposed [n, k] * a transposed [k, m] is our row-major product.
  const float one = 1, zero = 0;
  check(cublas().sgemm(handle, p.transposed_b ? CUBLAS_OP_T : CUBLAS_OP_N, CUBLAS_OP_N, n, m, k, &one, b, p.transposed_b ? k : n, a, k, &zero, c, n), "cublasSgemm");
}

}  // namespace limpid::cuda
