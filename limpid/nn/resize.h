#pragma once
// Resizing and cropping of 8-bit pictures, bit for bit as Pillow and torchvision do it.
#include <limpid/nn/image.h>

#include <string_view>

namespace limpid {

/// Pillow's word for the filters of a resize; `Interpolation` (functors.h) is that of the graph op.
enum class Resampling { nearest, bilinear, bicubic };

/// "nearest", "bilinear" or "bicubic". Throws invalid_argument for another name.
Resampling resampling_named(std::string_view name);

/// Scales to width x height as Pillow's `Image.resize` does: bilinear and bicubic (a = -0.5) widen their filter with the
/// reduction (antialias) and run in two passes, horizontal then vertical, with 22-bit fixed-point coefficients and an 8-bit
/// picture between them. As in Pillow 13 the vertical pass comes first where it takes away more than twice as many rows as the other one takes
/// columns (pictures more than twice as tall as wide); there older Pillows differ in the last bit, seldom more.
/// Without antialias the filter keeps the width it has for enlarging; nearest ignores it.
/// Throws invalid_argument for an empty picture, an extent outside 1..65535, or more than 100 megapixels.
Image resize(const Image& image, int width, int height, Resampling resampling, bool antialias = true);

/// Scales so that the shorter side becomes `size` and the longer one int(size * longer / shorter): torchvision's `Resize(size)`. Throws as `resize` does.
Image resize_shorter_side(const Image& image, int size, Resampling resampling, bool antialias = true);

/// The middle width x height: torchvision's `CenterCrop((height, width))`. A smaller picture is padded with black first; offsets of a half
/// round to even. Throws invalid_argument for an empty picture or an extent outside 1..65535.
Image center_crop(const Image& image, int width, int height);

}  // namespace limpid
