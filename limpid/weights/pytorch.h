#pragma once
// PyTorch's checkpoints as torch.save writes them: the zip archive (since 1.6) and the legacy stream before it.
#include <limpid/runtime/tensor.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace limpid {

struct PytorchFile {
  std::string format;                           // "PyTorch zip archive" or "PyTorch legacy stream"
  std::map<std::string, Tensor> tensors;        // names as in the state dict, unwrapped; read-only views of the file where its layout allows
  std::vector<std::string> notes;               // one sentence each: what was unwrapped, renamed, widened or left out
  std::map<std::string, std::string> metadata;  // what the format says of itself: "version", "byteorder"
};

/// True when a file that begins with these bytes (32 suffice) is a zip archive or a legacy stream of PyTorch's.
bool is_pytorch(std::span<const std::byte> start) noexcept;

/// Reads a state dict, or the one inside a training checkpoint. Nothing that the pickle names is ever called: a short list of names is
/// understood, every other is refused by its name. Element types that Tensor does not have are widened (bool to u8, i8 and i16 to i32).
/// Contiguous, aligned tensors are views of the mapped file, others are copied into C order.
/// Throws not_found, io; bad_file (damaged, of another kind, or naming what a state dict does not hold); unsupported (a whole pickled model,
/// TorchScript, compressed entries, complex or quantised tensors); the message says what to save instead.
PytorchFile read_pytorch(const std::filesystem::path& path);

/// The same from memory that `owner` keeps alive; `name` stands for the file in messages.
PytorchFile read_pytorch(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& name);

}  // namespace limpid
