#include <limpid/attribution/baseline.h>
#include <limpid/runtime/parallel.h>

#include <cmath>
#include <cstring>

namespace limpid {
namespace {

/// The index that i is mirrored to in [0, n), the edge point repeated.
std::int64_t mirrored(std::int64_t i, std::int64_t n) {
  const std::int64_t period = 2 * n;
  i = ((i % period) + period) % period;
  return i < n ? i : period - 1 - i;
}

void blur_axis(const double* from, double* to, std::int64_t n, std::int64_t stride, const std::vector<double>& kernel) {
  const auto radius = static_cast<std::int64_t>(kernel.size() / 2);
  for (std::int64_t i = 0; i < n; ++i) {
    double total = 0;
    for (std::int64_t k = -radius; k <= radius; ++k) total += kernel[static_cast<std::size_t>(k + radius)] * from[mirrored(i + k, n) * stride];
    to[i * stride] = total;
  }
}

}  // namespace

Tensor gaussian_blur(const Tensor& pictures, double sigma) {
  require(sigma > 0 && std::isfinite(sigma), "The blur's sigma is ", sigma, "; it must be a positive number of pixels.");
  const Shape& s = pictures.shape();
  const std::int64_t h = s[2], w = s[3], radius = std::min<std::int64_t>(static_cast<std::int64_t>(std::ceil(4 * sigma)), 4 * std::max(h, w));
  std::vector<double> kernel;
  double total = 0;
  for (std::int64_t k = -radius; k <= radius; ++k) {
    kernel.push_back(std::exp(-0.5 * static_cast<double>(k * k) / (sigma * sigma)));
    total += kernel.back();
  }
  for (double& k : kernel) k /= total;
  Tensor wide = pictures.to(DType::f64).clone(), scratch(s, DType::f64);
  parallel_for(s[0] * s[1], [&](std::int64_t plane) {
    double *a = wide.data<double>() + plane * h * w, *b = scratch.data<double>() + plane * h * w;
    for (std::int64_t y = 0; y < h; ++y) blur_axis(a + y * w, b + y * w, w, 1, kernel);
    for (std::int64_t x = 0; x < w; ++x) blur_axis(b + x, a + x, h, w, kernel);
  });
  return wide.to(pictures.dtype());
}

Tensor baseline_tensor(const Baseline& baseline, const Tensor& inputs) {
  const Shape& s = inputs.shape();
  if (baseline.blur_sigma > 0) return gaussian_blur(inputs, baseline.blur_sigma);
  if (!baseline.tensor.defined()) return Tensor::full(s, baseline.value, inputs.dtype());
  const Tensor given = baseline.tensor.to(inputs.dtype());
  const bool fits = given.shape().rank() == 4 && given.shape().inner() == s.inner() && (given.shape()[0] == 1 || given.shape()[0] == s[0]);
  require(fits, "The baseline has the shape ", given.shape(), "; ", s, " or one sample of it is needed.");
  if (given.shape()[0] == s[0]) return given;
  return concatenate_rows(std::vector<Tensor>(static_cast<std::size_t>(s[0]), given));
}

}  // namespace limpid
