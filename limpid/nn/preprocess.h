#pragma once
// From a picture to the tensor that a network reads.
#include <limpid/nn/image.h>
#include <limpid/runtime/tensor.h>
#include <limpid/weights/preprocessing.h>

namespace limpid {

/// What the network sees, as 8-bit pixels [crop x crop]: the shorter side resized, then the middle cut out. Attributions lie on this picture.
/// Throws invalid_argument for an empty picture, a size that is not positive, or an unknown interpolation.
Image cropped(const Image& image, const Preprocessing& preprocessing);

/// [1,3,crop,crop] f32: `cropped`, then (pixel / 255 - mean) / std in torchvision's order, so equal pixels give equal bits.
/// Throws as `cropped` does, and invalid_argument for a std that is not positive.
Tensor preprocess(const Image& image, const Preprocessing& preprocessing);

}  // namespace limpid
