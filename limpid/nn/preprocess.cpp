#include <limpid/nn/preprocess.h>
#include <limpid/nn/resize.h>

namespace limpid {

Image cropped(const Image& image, const Preprocessing& preprocessing) {
  const Resampling resampling = resampling_named(preprocessing.interpolation);
  return center_crop(resize_shorter_side(image, preprocessing.resize, resampling, preprocessing.antialias), preprocessing.crop, preprocessing.crop);
}

Tensor preprocess(const Image& image, const Preprocessing& preprocessing) {
  for (const float std : preprocessing.std) require(std > 0, "preprocess: a standard deviation is ", std, "; all three must be positive.");
  const Image seen = cropped(image, preprocessing);
  const std::size_t plane = static_cast<std::size_t>(seen.width) * static_cast<std::size_t>(seen.height);
  Tensor out({1, 3, seen.height, seen.width});
  float* to = out.data<float>();
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t i = 0; i < plane; ++i)
      to[c * plane + i] = (static_cast<float>(seen.pixels[i * 3 + c]) / 255.0f - preprocessing.mean[c]) / preprocessing.std[c];
  return out;
}

}  // namespace limpid
