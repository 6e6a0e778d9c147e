#pragma once
// How a picture becomes a network's input.
#include <array>
#include <string>
#include <string_view>

namespace limpid {

/// Resize the shorter side, crop the centre, scale to 0..1, then (x - mean) / std per channel. The defaults are torchvision's for ImageNet.
struct Preprocessing {
  int resize = 256;                        // pixels, the shorter side
  int crop = 224;                          // pixels, the side of the central square
  std::string interpolation = "bilinear";  // or "bicubic", "nearest"
  bool antialias = true;                   // widen the filter when shrinking
  std::array<float, 3> mean{0.485f, 0.456f, 0.406f};
  std::array<float, 3> std{0.229f, 0.224f, 0.225f};
  bool operator==(const Preprocessing&) const = default;
};

/// Reads the JSON object {"resize", "crop", "interpolation", "antialias", "mean", "std"}; a key that is left out keeps its default.
/// `where` names the file in messages. Throws bad_file for anything that is not exactly that.
Preprocessing preprocessing_from_json(std::string_view text, std::string_view where);

/// The object that `preprocessing_from_json` reads as the same value.
std::string to_json(const Preprocessing& preprocessing);

}  // namespace limpid
