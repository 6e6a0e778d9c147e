#pragma once
#include <limpid/attribution/attribution.h>

namespace limpid {

/// The baseline as a tensor of the inputs' shape and dtype. Throws invalid_argument when it does not fit.
Tensor baseline_tensor(const Baseline& baseline, const Tensor& inputs);

/// Each plane of [N,C,H,W] convolved with a Gaussian of `sigma` pixels, cut at four sigma, edges mirrored.
Tensor gaussian_blur(const Tensor& pictures, double sigma);

}  // namespace limpid
