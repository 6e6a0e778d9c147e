#pragma once
// Inputs that a network answers in milliseconds.
#include <limpid/weights/npy.h>

#include <cmath>
#include <filesystem>
#include <string>

namespace limpid::testing {

inline Tensor small_tensor(std::int64_t samples = 1, std::int64_t size = 64) {
  Tensor t(Shape{samples, 3, size, size});
  for (std::int64_t i = 0; i < t.numel(); ++i)
    t.data<float>()[i] = static_cast<float>(std::sin(0.013 * static_cast<double>(i)) + std::cos(0.37 * static_cast<double>(i % size)));
  return t;
}

/// The path of a .npy of that tensor, written into the folder.
inline std::string small_npy(const std::filesystem::path& folder, std::int64_t samples = 1, std::int64_t size = 64) {
  const auto path = folder / ("input_" + std::to_string(samples) + "x" + std::to_string(size) + ".npy");
  write_npy(path, small_tensor(samples, size));
  return path.string();
}

}  // namespace limpid::testing
