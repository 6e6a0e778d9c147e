#pragma once
// What network a set of tensors belongs to, told from their names and shapes.
#include <limpid/runtime/tensor.h>

#include <cstdint>
#include <map>
#include <string>

namespace limpid {

/// torchvision's name of a ResNet, wide ResNet or ResNeXt ("resnet18", "wide_resnet50_2", "resnext101_32x8d", ...),
/// "efficientnet_lite0" (timm's tensor names), or "" for anything else.
std::string detect_architecture(const std::map<std::string, Tensor>& tensors);

/// The rows of the last linear layer (`fc` or `classifier`), or 0 when there is none.
std::int64_t count_classes(const std::map<std::string, Tensor>& tensors);

}  // namespace limpid
