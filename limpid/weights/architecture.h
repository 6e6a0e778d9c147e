#pragma once
// What network a set of tensors belongs to, told from their names and shapes.
#include <limpid/runtime/tensor.h>

#include <cstdint>
#include <map>
#include <string>

namespace limpid {

/// torchvision's name of a ResNet, wide ResNet or ResNeXt ("resnet18", "wide_resnet50_2", "resnext101_32x8d", ...),
/// "efficientnet_lite0" (timm's tensor names), or "" for anything else. It looks at the blocks only: a file without a stem or a classifier
/// is recognised as well, so that what it lacks can be named.
std::string detect_architecture(const std::map<std::string, Tensor>& tensors);

/// Why `detect_architecture` says "": the network is of a known family, but not one that limpid builds ("a ResNet of 2, 2, 2 and 3 basic
/// blocks ..."). "" when it is of no known family, or known.
std::string explain_unknown_architecture(const std::map<std::string, Tensor>& tensors);

/// The rows of the last linear layer (`fc` or `classifier`), or 0 when there is none.
std::int64_t count_classes(const std::map<std::string, Tensor>& tensors);

}  // namespace limpid
