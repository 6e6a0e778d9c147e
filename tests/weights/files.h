#pragma once
// Files made byte by byte, the honest and the lying.
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace limpid::testing {

inline std::filesystem::path put(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::remove(path);  // some file systems flush a file that is cut and rewritten to the disk, which takes long
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

inline std::string get(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::size_t count_files(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

inline std::string little_endian(std::uint64_t value, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::memcpy(text.data(), &value, bytes);
  return text;
}

/// A safetensors file with this header and so many bytes of data (1, 2, 3, ...).
inline std::string safetensors_bytes(const std::string& header, std::size_t data) {
  std::string text = little_endian(header.size(), 8) + header;
  for (std::size_t i = 0; i < data; ++i) text += static_cast<char>(i + 1);
  return text;
}

}  // namespace limpid::testing
