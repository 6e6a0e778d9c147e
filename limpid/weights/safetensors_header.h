#pragma once
// The JSON header of a safetensors file as it stands there: well-formed, but what it says is not checked against the file yet.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace limpid {

struct SafetensorsEntry {
  std::string name, dtype;
  std::vector<std::uint64_t> shape, offsets;  // offsets: two, from the header's end
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;
  std::vector<SafetensorsEntry> entries;
};

/// Throws bad_file, naming `file`, for anything but one JSON object of tensors with "dtype", "shape" and "data_offsets", and "__metadata__".
SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& file);

}  // namespace limpid
