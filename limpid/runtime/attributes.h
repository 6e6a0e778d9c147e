#pragma once
// What a node knows besides its inputs. One plain struct an op family; printed for dumps and compile-cache keys.
#include <limpid/runtime/functors.h>
#include <limpid/runtime/shape.h>
#include <limpid/runtime/tensor.h>

#include <array>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace limpid {

/// A rectangle for each point of a sweep: one size for all, an origin (row, column) each. Origins may lie outside the picture.
struct Regions {
  std::int64_t rows = 0, columns = 0;
  std::shared_ptr<const std::vector<std::array<std::int32_t, 2>>> origins;  // null: no regions, the whole picture
  bool defined() const { return origins != nullptr; }
  bool operator==(const Regions& o) const { return rows == o.rows && columns == o.columns && (origins == o.origins || (origins && o.origins && *origins == *o.origins)); }
};
/// The smallest rectangle that a feature lies in: rows and columns [first, last).
struct Box {
  std::array<std::int32_t, 2> rows{0, 0}, columns{0, 0};
  bool operator==(const Box&) const = default;
};

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
struct WindowAttributes {
  WindowGrid grid;
  Regions region;  // source only: what of the occluded picture is written
};
struct FeatureAttributes { std::int64_t count = 0; };
struct AblationAttributes {
  std::int64_t count = 0;
  std::shared_ptr<const std::vector<Box>> boxes;  // of each feature, in all samples; null: they may lie anywhere
  Regions region;                                 // what of the ablated picture is written
};
struct PatchAttributes {
  Regions from, to;    // where the crop lies, and where the patch
  double outside = 0;  // what the patch reads outside the picture
};

using Attributes = std::variant<NoAttributes, ConstantAttributes, Conv2dAttributes, PoolAttributes, BatchNormAttributes, ActivationAttributes, ScalarAttributes,
                                ShapeAttributes, SliceAttributes, InterpolateAttributes, WindowAttributes, FeatureAttributes, AblationAttributes, PatchAttributes>;

/// "stride=2x2 pad=3,3,3,3 ..."; two nodes with equal inputs and equal text compute the same.
std::string to_string(const Attributes& attributes);

}  // namespace limpid
