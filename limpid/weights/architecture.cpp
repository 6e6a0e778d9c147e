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

/// What the names and shapes of the blocks say.
struct Blocks {
  std::array<int, 4> count{};
  bool bottleneck = false;
  std::int64_t width = 0, groups = 0;  // 0: no 3x3 convolution of four extents
};

Blocks blocks_of(const Tensors& tensors) {
  Blocks b;
  for (std::size_t layer = 0; layer < 4; ++layer)
    while (tensors.contains("layer" + std::to_string(layer + 1) + "." + std::to_string(b.count[layer]) + ".conv1.weight")) ++b.count[layer];
  b.bottleneck = tensors.contains("layer1.0.conv3.weight");
  const Shape conv2 = shape_of(tensors, "layer1.0.conv2.weight");  // [width, width / groups, 3, 3]
  if (conv2.rank() == 4 && conv2[1] != 0 && conv2[0] % conv2[1] == 0) b.width = conv2[0], b.groups = conv2[0] / conv2[1];
  return b;
}

/// What sets a relative of the ResNets apart, or "".
std::string_view foreign_part(const Tensors& tensors) {
  if (tensors.contains("conv1.0.weight")) return "its stem is several convolutions (conv1.0, ...), as in timm's resnet50d";
  if (tensors.contains("layer1.0.se.conv_reduce.weight") || tensors.contains("layer1.0.se.fc1.weight") || tensors.contains("layer1.0.se_module.fc1.weight"))
    return "its blocks have squeeze-and-excitation (layer1.0.se), as in SE-ResNets";
  if (shape_of(tensors, "layer2.0.downsample.1.weight").rank() == 4)
    return "its shortcuts pool before they convolve (downsample.1 is a convolution), as in timm's resnet50d";
  return "";
}

bool is_resnet(const Tensors& tensors) { return tensors.contains("layer1.0.conv1.weight"); }

std::string detect_resnet(const Tensors& tensors) {
  const Blocks b = blocks_of(tensors);
  if (!foreign_part(tensors).empty()) return "";
  for (const auto& r : resnets)
    if (r.blocks == b.count && r.bottleneck == b.bottleneck && r.width == b.width && r.groups == b.groups) return std::string(r.name);
  return "";
}

}  // namespace

std::string detect_architecture(const Tensors& tensors) {
  if (is_resnet(tensors)) return detect_resnet(tensors);
  // B0 has the same widths but squeeze-and-excitation (se); Lite1 has a third block in stage 1.
  const bool like_lite0 =
      shape_of(tensors, "conv_stem.weight") == Shape{32, 3, 3, 3} && shape_of(tensors, "blocks.6.0.conv_pwl.weight") == Shape{320, 1152, 1, 1};
  const bool other = tensors.contains("blocks.0.0.se.conv_reduce.weight") || tensors.contains("blocks.1.2.conv_pw.weight");
  return like_lite0 && !other ? "efficientnet_lite0" : "";
}

std::string explain_unknown_architecture(const Tensors& tensors) {
  if (!detect_architecture(tensors).empty()) return "";
  if (is_resnet(tensors)) {
    if (const auto foreign = foreign_part(tensors); !foreign.empty()) return "a relative of the ResNets that limpid does not build: " + std::string(foreign);
    const Blocks b = blocks_of(tensors);
    std::string text = "a ResNet of ";
    for (std::size_t i = 0; i < 4; ++i) text += (i == 0 ? "" : i == 3 ? " and " : ", ") + std::to_string(b.count[i]);
    text += b.bottleneck ? " bottleneck blocks" : " basic blocks";
    if (b.width) text += ", " + std::to_string(b.width) + " wide in " + (b.groups == 1 ? "one group" : std::to_string(b.groups) + " groups");
    return text + ", which is none that limpid builds";
  }
  if (tensors.contains("conv_stem.weight") || tensors.contains("_conv_stem.weight"))
    return "of the EfficientNet or MobileNet family, of which limpid builds efficientnet_lite0 only";
  return "";
}

std::int64_t count_classes(const Tensors& tensors) {
  for (const char* name : {"fc.weight", "classifier.weight"})
    if (const Shape shape = shape_of(tensors, name); shape.rank() == 2) return shape[0];
  return 0;
}

}  // namespace limpid
