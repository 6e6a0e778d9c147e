#include <limpid/weights/architecture.h>

#include <array>
#include <string_view>

namespace limpid {
namespace {

using Tensors = std::map<std::string, Tensor>;

/// The shape of a tensor, or rank 0 when there is none of that name.
Shape shape_of(const Tensors& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  return found == tensors.end() ? Shape() : found->second.shape();
}

struct ResNet {
  std::array<int, 4> blocks;
  bool bottleneck;
  std::int64_t width, groups;  // of the first block's 3x3 convolution, conv2
  std::string_view name;
};

constexpr ResNet resnets[] = {
    {{2, 2, 2, 2}, false, 64, 1, "resnet18"},           {{3, 4, 6, 3}, false, 64, 1, "resnet34"},         {{3, 4, 6, 3}, true, 64, 1, "resnet50"},
    {{3, 4, 23, 3}, true, 64, 1, "resnet101"},          {{3, 8, 36, 3}, true, 64, 1, "resnet152"},        {{3, 4, 6, 3}, true, 128, 1, "wide_resnet50_2"},
    {{3, 4, 23, 3}, true, 128, 1, "wide_resnet101_2"},  {{3, 4, 6, 3}, true, 128, 32, "resnext50_32x4d"}, {{3, 4, 23, 3}, true, 256, 32, "resnext101_32x8d"},
    {{3, 4, 23, 3}, true, 256, 64, "resnext101_64x4d"},
};

std::string detect_resnet(const Tensors& tensors) {
  std::array<int, 4> blocks{};
  for (std::size_t layer = 0; layer < 4; ++layer)
    while (tensors.contains("layer" + std::to_string(layer + 1) + "." + std::to_string(blocks[layer]) + ".conv1.weight")) ++blocks[layer];
  const Shape conv2 = shape_of(tensors, "layer1.0.conv2.weight");  // [width, width / groups, 3, 3]
  if (conv2.rank() != 4 || conv2[1] == 0 || conv2[0] % conv2[1] != 0) return "";
  const bool bottleneck = tensors.contains("layer1.0.conv3.weight");
  for (const auto& r : resnets)
    if (r.blocks == blocks && r.bottleneck == bottleneck && r.width == conv2[0] && r.groups == conv2[0] / conv2[1]) return std::string(r.name);
  return "";
}

}  // namespace

std::string detect_architecture(const Tensors& tensors) {
  if (tensors.contains("conv1.weight") && tensors.contains("fc.weight")) return detect_resnet(tensors);
  // B0 has the same widths but squeeze-and-excitation (se); Lite1 has a third block in stage 1.
  const bool like_lite0 =
      shape_of(tensors, "conv_stem.weight") == Shape{32, 3, 3, 3} && shape_of(tensors, "blocks.6.0.conv_pwl.weight") == Shape{320, 1152, 1, 1};
  const bool other = tensors.contains("blocks.0.0.se.conv_reduce.weight") || tensors.contains("blocks.1.2.conv_pw.weight");
  return like_lite0 && !other && tensors.contains("classifier.weight") ? "efficientnet_lite0" : "";
}

std::int64_t count_classes(const Tensors& tensors) {
  for (const char* name : {"fc.weight", "classifier.weight"})
    if (const Shape shape = shape_of(tensors, name); shape.rank() == 2) return shape[0];
  return 0;
}

}  // namespace limpid
