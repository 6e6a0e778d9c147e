#pragma once
// Residual networks as torchvision defines them (He et al. 2016; v1.5: the stride sits on the 3x3 convolution), with its names.
#include <limpid/nn/layers.h>

#include <optional>

namespace limpid::nn {

struct ResNetConfig {
  bool bottleneck = false;
  std::array<std::int64_t, 4> blocks{2, 2, 2, 2};
  std::int64_t groups = 1, width_per_group = 64;  // ResNeXt: groups 32; wide: width 128
};

/// resnet18|34|50|101|152, wide_resnet50_2|101_2, resnext50_32x4d, resnext101_32x8d|64x4d; nothing for another name.
std::optional<ResNetConfig> resnet_config(std::string_view architecture);

/// x [3,H,W] -> logits [classes]. Values are named as torchvision's modules; a module that is used twice (`relu` in a block) gives its
/// second output `relu_1`, its third `relu_2`, as torch.fx does.
Value resnet(const Builder& builder, Value x, const ResNetConfig& config, std::int64_t classes);

}  // namespace limpid::nn
