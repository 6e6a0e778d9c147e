#pragma once
// Which way a convolution is done on this device: the library with everything fused, the library with less fused and one own kernel behind
// it, or an own kernel (depthwise). Decided by timing, once a pattern and device; the decision is kept on disk.
#include <limpid/cuda/outside.h>

#include <string_view>

namespace limpid::cuda {

/// How much of a pattern the library does; one own kernel does the rest.
struct ConvolutionPart {
  std::string_view name;
  ConvolutionPattern planned;
};
/// From "whole" to "sums" alone; parts that come to the same stand once.
std::vector<ConvolutionPart> convolution_parts(const ConvolutionPattern& whole);

struct ConvolutionChoice {
  bool deterministic = true;
  bool measure = true;  // else: the first way that exists (no device time is spent)
};

/// Throws unsupported, naming the pattern, when there is no way at all.
std::shared_ptr<const ConvolutionPlan> choose_convolution(int device, const ConvolutionPattern& pattern, const ConvolutionChoice& choice = {});

/// Every way to do it on this device, by name: for tests, benchmarks and the choice itself.
std::vector<std::unique_ptr<ConvolutionPlan>> convolution_ways(int device, const ConvolutionPattern& pattern, bool deterministic);

}  // namespace limpid::cuda
