#pragma once
// What a node knows besides its inputs. One plain struct an op family; printed for dumps and compile-cache keys.
#include <limpid/runtime/functors.h>
#include <limpid/runtime/shape.h>
#include <limpid/runtime/tensor.h>

#include <string>
#include <variant>

namespace limpid {

struct NoAttributes { bool operator==(const NoAttributes&) const = default; };
struct ConstantAttributes { Tensor tensor; };
struct Conv2dAttributes {
  Axis rows, columns;
  std::int64_t groups = 1;
  Activation activation = Activation::none;  // fused behind bias and addend
  std::int64_t in_rows = 0, in_columns = 0;  // backward only: the extents to produce
};
struct PoolAttributes {
  Axis rows, columns;
  bool count_include_pad = true;             // average only
  std::int64_t in_rows = 0, in_columns = 0;  // backward only
};
struct BatchNormAttributes { double epsilon = 1e-5; };
struct ActivationAttributes { Activation activation = Activation::relu; ReluRule rule = ReluRule::plain; };
struct ScalarAttributes { double value = 0; };
struct ShapeAttributes { Shape shape; };
struct SliceAttributes { std::int64_t begin = 0, end = 0; };
struct InterpolateAttributes { std::int64_t rows = 0, columns = 0; Interpolation mode = Interpolation::nearest; };
struct WindowAttributes { WindowGrid grid; };
struct FeatureAttributes { std::int64_t count = 0; };

using Attributes = std::variant<NoAttributes, ConstantAttributes, Conv2dAttributes, PoolAttributes, BatchNormAttributes, ActivationAttributes, ScalarAttributes,
                                ShapeAttributes, SliceAttributes, InterpolateAttributes, WindowAttributes, FeatureAttributes>;

/// "stride=2x2 pad=3,3,3,3 ..."; two nodes with equal inputs and equal text compute the same.
std::string to_string(const Attributes& attributes);

}  // namespace limpid
