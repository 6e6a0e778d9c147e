#include <limpid/cuda/convolution.h>
#include <limpid/runtime/error.h>

namespace limpid::cuda {

std::vector<std::unique_ptr<ConvolutionPlan>> convolution_ways(int device, const ConvolutionPattern& pattern, bool deterministic) { return library_plans(device, pattern, deterministic, 8); }

std::shared_ptr<const ConvolutionPlan> choose_convolution(int device, const ConvolutionPattern& pattern, const ConvolutionChoice& choice) {
  auto ways = convolution_ways(device, pattern, choice.deterministic);
  if (ways.empty()) fail(ErrorCode::unsupported, "cuda: there is no way to compute ", to_string(pattern), ".");
  return std::move(ways.front());
}

}  // namespace limpid::cuda
