// Elementwise kernels: a thread takes eight elements, one or two 16-byte accesses an operand. Bytes: the type's size for each operand read
// and written, an eighth of a byte for a mask.
#include <limpid/cuda/element.h>
#include <limpid/cuda/kernels/elementwise.h>

namespace limpid::cuda::kernels {
namespace {

template <class T, class F>
__global__ void map_kernel(F f, const T* x, T* y, std::int64_t n) {
  const std::int64_t i = 8 * thread_number();
  if (i >= n) return;
  Float8 v = load_some(x, i, n);
  for (float& e : v.v) e = f(e);
  store_some(y, i, n, v);
}

template <class T, class F>
__global__ void zip_kernel(F f, const T* a, const T* b, T* out, std::int64_t n) {
  const std::int64_t i = 8 * thread_number();
  if (i >= n) return;
  Float8 v = load_some(a, i, n);
  const Float8 w = load_some(b, i, n);
  for (int k = 0; k < 8; ++k) v.v[k] = f(v.v[k], w.v[k]);
  store_some(out, i, n, v);
}

struct Sum { __device__ float operator()(float a, float b) const { return a + b; } };
struct Difference { __device__ float operator()(float a, float b) const { return a - b; } };
struct Times { __device__ float operator()(float a, float b) const { return a * b; } };
struct Multiple {
  float factor;
  __device__ float operator()(float x) const { return x * factor; }
};
struct Magnitude { __device__ float operator()(float x) const { return x < 0 ? -x : x; } };
struct Activate {
  Activation kind;
  __device__ float operator()(float x) const { return activate(x, kind); }
};

template <class F>
void map(Stream& stream, F f, const void* x, void* y, DType type, std::int64_t n) {
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(map_kernel<T, F>, blocks_for(packs(n)), dim3(256), stream, f, static_cast<const T*>(x), static_cast<T*>(y), n);
  });
}

template <class F>
void zip(Stream& stream, F f, const void* a, const void* b, void* out, DType type, std::int64_t n) {
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(zip_kernel<T, F>, blocks_for(packs(n)), dim3(256), stream, f, static_cast<const T*>(a), static_cast<const T*>(b), static_cast<T*>(out), n);
  });
}

__global__ void fill_kernel(float value, float* y, std::int64_t n) {
  const std::int64_t i = thread_number();
  if (i < n) y[i] = value;
}

template <class T>
__global__ void relu_mask_kernel(const T* y, Activation kind, std::uint8_t* mask, std::int64_t n) {
  const std::int64_t i = 8 * thread_number();
  if (i >= n) return;
  const Float8 v = load_some(y, i, n);
  unsigned bits = 0;
  for (int k = 0; k < 8; ++k) bits |= static_cast<unsigned>(is_active(v.v[k], kind)) << k;
  mask[i / 8] = static_cast<std::uint8_t>(bits);
}

template <class T>
__global__ void activation_backward_kernel(const T* y, const std::uint8_t* mask, const T* dy, const T* more, T* dx, Activation kind, ReluRule rule, std::int64_t n) {
  const std::int64_t i = 8 * thread_number();
  if (i >= n) return;
  Float8 g = load_some(dy, i, n);
  if (more) {
    const Float8 m = load_some(more, i, n);
    for (int k = 0; k < 8; ++k) g.v[k] += m.v[k];
  }
  unsigned bits = 0;
  if (mask) {
    bits = mask[i / 8];
  } else if (y) {
    const Float8 v = load_some(y, i, n);
    for (int k = 0; k < 8; ++k) bits |= static_cast<unsigned>(is_active(v.v[k], kind)) << k;
  }
  for (int k = 0; k < 8; ++k) g.v[k] = pass_back((bits >> k & 1) != 0, g.v[k], rule);
  store_some(dx, i, n, g);
}

template <class T>
__global__ void batch_norm_kernel(const T* x, T* y, Channels c, const float* weight, const float* bias, const float* mean, const float* var, float epsilon, std::int64_t n) {
  const std::int64_t i = 8 * thread_number();
  if (i >= n) return;
  const std::int64_t padded = (c.count + 7) / 8 * 8;
  Float8 v = load_some(x, i, n);
  for (int k = 0; k < 8; ++k) {
    const std::int64_t channel = c.side_by_side ? (i + k) % padded : (i + k) / c.points % c.count;
    if (channel >= c.count) continue;
    const float factor = weight[channel] / sqrtf(var[channel] + epsilon);
    v.v[k] = mean ? (v.v[k] - mean[channel]) * factor + bias[channel] : v.v[k] * factor;
  }
  store_some(y, i, n, v);
}

__global__ void add_bias_kernel(float* y, const float* bias, std::int64_t n, std::int64_t size) {
  const std::int64_t i = thread_number();
  if (i < n) y[i] += bias[i % size];
}

}  // namespace

void binary(Stream& stream, Binary op, const void* a, const void* b, void* out, DType type, std::int64_t n) {
  if (op == Binary::add) zip(stream, Sum{}, a, b, out, type, n);
  if (op == Binary::sub) zip(stream, Difference{}, a, b, out, type, n);
  if (op == Binary::mul) zip(stream, Times{}, a, b, out, type, n);
}
void scale(Stream& stream, const void* x, float factor, void* y, DType type, std::int64_t n) { map(stream, Multiple{factor}, x, y, type, n); }
void absolute(Stream& stream, const void* x, void* y, DType type, std::int64_t n) { map(stream, Magnitude{}, x, y, type, n); }
void activation(Stream& stream, const void* x, void* y, DType type, Activation kind, std::int64_t n) { map(stream, Activate{kind}, x, y, type, n); }
void fill(Stream& stream, float value, float* y, std::int64_t n) { launch(fill_kernel, blocks_for(n), dim3(256), stream, value, y, n); }

void relu_mask(Stream& stream, const void* y, DType type, Activation kind, std::uint8_t* mask, std::int64_t n) {
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(relu_mask_kernel<T>, blocks_for(packs(n)), dim3(256), stream, static_cast<const T*>(y), kind, mask, n);
  });
}

void activation_backward(Stream& stream, const void* y, const std::uint8_t* mask, const void* dy, const void* more, void* dx, DType type, Activation kind, ReluRule rule, std::int64_t n) {
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(activation_backward_kernel<T>, blocks_for(packs(n)), dim3(256), stream, static_cast<const T*>(y), mask, static_cast<const T*>(dy), static_cast<const T*>(more), static_cast<T*>(dx), kind, rule, n);
  });
}

void batch_norm(Stream& stream, const void* x, void* y, DType type, const Channels& channels, const float* weight, const float* bias, const float* mean, const float* var, double epsilon, std::int64_t n) {
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(batch_norm_kernel<T>, blocks_for(packs(n)), dim3(256), stream, static_cast<const T*>(x), static_cast<T*>(y), channels, weight, bias, mean, var, static_cast<float>(epsilon), n);
  });
}

void add_bias(Stream& stream, float* y, const float* bias, std::int64_t rows, std::int64_t size) { launch(add_bias_kernel, blocks_for(rows * size), dim3(256), stream, y, bias, rows * size, size); }

}  // namespace limpid::cuda::kernels
