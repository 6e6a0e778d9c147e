#pragma once
// Other projects' names for the same tensors, turned into the ones that limpid's networks ask for: torchvision's for ResNets, timm's for
// EfficientNet-Lite0.
#include <limpid/runtime/tensor.h>

#include <map>
#include <string>
#include <vector>

namespace limpid {

/// Renames in place: a prefix in front of the whole network ("backbone.", "module."), Hugging Face's ResNet names
/// (`resnet.encoder.stages.0.layers.0.layer.0.convolution.weight`), efficientnet_pytorch's names of EfficientNet-Lite0
/// (`_blocks.0._depthwise_conv.weight`), and a classifier inside a Sequential (`fc.1.weight`). timm names its ResNets as torchvision does.
/// Names of no known kind stay. Returns a sentence for each kind of change. `file` is for messages; throws bad_file when two tensors
/// would get the same name.
std::vector<std::string> adopt_names(std::map<std::string, Tensor>& tensors, const std::string& file);

}  // namespace limpid
