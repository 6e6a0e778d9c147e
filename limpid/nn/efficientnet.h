#pragma once
// EfficientNet-Lite0 (Tan & Le 2019; the Lite variant without squeeze-and-excitation, ReLU6 throughout) with timm's names and
// TensorFlow's padding.
#include <limpid/nn/layers.h>

namespace limpid::nn {

/// x [3,H,W] -> logits [classes]. Values are named as timm's modules: `conv_stem`, `bn1`, `act1`, `blocks.S`, `blocks.S.B`,
/// `blocks.S.B.conv_pw|bn1|act1|conv_dw|bn2|act2|conv_pwl|bn3`, `conv_head`, `bn2`, `act2`, `global_pool`, `classifier`.
Value efficientnet_lite0(const Builder& builder, Value x, std::int64_t classes);

}  // namespace limpid::nn
