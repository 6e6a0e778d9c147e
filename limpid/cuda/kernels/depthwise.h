#pragma once
// Depthwise convolutions, forward and backward, with their epilogue.
#include <limpid/cuda/convolution_pattern.h>
#include <limpid/cuda/kernels/convolution_epilogue.h>

namespace limpid::cuda::kernels {

/// Whether `depthwise` takes the pattern: one filter a channel, at most 49 taps.
bool takes_depthwise(const ConvolutionPattern& pattern);
/// in, out: pictures; weight [channels, kernel rows, kernel columns]; all of the pattern's type. Sums in f32, taps in row order.
void depthwise(Stream& stream, const ConvolutionPattern& pattern, const void* in, const void* weight, void* out, const Epilogue& epilogue);

}  // namespace limpid::cuda::kernels
