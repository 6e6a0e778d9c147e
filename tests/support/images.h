#pragma once
// Pictures for tests: how far two lie apart, and small ones made up.
#include <limpid/nn/image.h>

#include <algorithm>
#include <cstdlib>
#include <random>

namespace limpid::testing {

struct Difference { int most = 0; double mean = 0; };

/// In levels of 0..255, over all pixels and channels; 255 when the sizes differ.
inline Difference difference(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height || a.pixels.size() != b.pixels.size()) return {255, 255};
  Difference d;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    const int one = std::abs(a.pixels[i] - b.pixels[i]);
    d.most = std::max(d.most, one);
    d.mean += one;
  }
  d.mean /= static_cast<double>(std::max<std::size_t>(a.pixels.size(), 1));
  return d;
}

/// Noise: no two pixels are alike, so nothing can be mixed up unseen.
inline Image noise_image(int width, int height, unsigned seed = 1) {
  std::mt19937 random(seed);
  Image image(width, height);
  for (auto& level : image.pixels) level = static_cast<std::uint8_t>(random());
  return image;
}

}  // namespace limpid::testing
