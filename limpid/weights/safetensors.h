#pragma once
// Hugging Face's safetensors format: 8 bytes of header length, a JSON header that names every tensor, then the tensors' bytes.
#include <limpid/runtime/tensor.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>

namespace limpid {

struct SafetensorsFile {
  std::map<std::string, std::string> metadata;
  std::map<std::string, Tensor> tensors;  // read-only views of the mapped file, which they keep open; never write to them
};

/// Reads F32, F16, BF16, F64, I64, I32 and U8 tensors without copying them (but for those that are not aligned to their element size).
/// The header is checked completely before anything is made of it. Throws not_found, io, bad_file (the file is damaged, or of another
/// kind), unsupported (another element type).
SafetensorsFile read_safetensors(const std::filesystem::path& path);

/// The same from memory that `owner` keeps alive; `name` stands for the file in messages.
SafetensorsFile read_safetensors(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& name);

/// Writes the file whole or not at all. Wider elements come first, so that every tensor is aligned when it is read.
/// Throws io; invalid_argument for a tensor without data or a name that is not UTF-8 or is "__metadata__".
void write_safetensors(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace limpid
