#pragma once
// What a convolution plan depends on: extents, types, and what is fused behind the sums.
#include <limpid/runtime/dtype.h>
#include <limpid/runtime/functors.h>

#include <cstdint>
#include <string>

namespace limpid::cuda {

/// Pictures are NHWC, channels in multiples of 8. Forward: out = activate(conv(in, weight) + bias + addend), and mask = where the activation
/// is active. Backward: out = (gradient of the convolution's input for the gradient `in` + addend), zero where mask is.
/// Sums in f32 whatever the type.
struct ConvolutionPattern {
  bool backward = false;
  std::int64_t images = 1;
  std::int64_t channels = 0, rows = 0, columns = 0;         // of the convolution's input x (backward: of dx)
  std::int64_t outputs = 0, out_rows = 0, out_columns = 0;  // of its output y (backward: of dy)
  Axis vertical, horizontal;
  std::int64_t groups = 1;
  DType type = DType::f32;                                  // f32, bf16 or f16: of pictures and weights
  bool tf32 = false;                                        // with f32: products may be rounded to 10 bits
  bool bias = false, addend = false, mask = false;          // bias: forward only
  Activation activation = Activation::none;                 // forward only
  bool operator==(const ConvolutionPattern&) const = default;

  bool depthwise() const { return groups > 1 && groups == channels && groups == outputs; }
  std::int64_t in_elements() const { return images * (backward ? outputs * out_rows * out_columns : channels * rows * columns); }
  std::int64_t out_elements() const { return images * (backward ? channels * rows * columns : outputs * out_rows * out_columns); }
  /// Multiplications and additions, two each.
  double flops() const { return 2.0 * static_cast<double>(images * outputs * out_rows * out_columns) * static_cast<double>(channels / groups * vertical.kernel * horizontal.kernel); }
};

/// "forward n50 c64 56x56 -> k64 56x56 3x3 s1x1 p1,1,1,1 d1x1 g1 bf16 bias add relu mask": equal texts are equal patterns.
std::string to_string(const ConvolutionPattern& pattern);

}  // namespace limpid::cuda
