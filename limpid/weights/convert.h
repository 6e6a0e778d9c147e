#pragma once
// Any weights that limpid reads, written as a safetensors file that says what it is.
#include <limpid/weights/models.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace limpid {

struct ConvertOptions {
  std::optional<DType> dtype;                      // f16, bf16 or f32 for all floats; nothing keeps each tensor's own
  std::optional<std::vector<std::string>> labels;  // one per class; nothing keeps the file's
};

/// Writes the file's tensors under limpid's names; integers stay as they are. Without a dtype the elements are the same to the bit.
/// The metadata: `format`, `architecture`, `preprocessing` and `labels` as far as they are known, `source` (the file, and torchvision's name of
/// it), `source_sha256`, and what the file's own metadata says beside.
/// Throws invalid_argument for another dtype or another number of labels than classes, and when a finite number would become infinite in
/// f16; bad_file when the file has a name of the catalogue and another digest; io.
void convert(const ModelFile& file, const std::filesystem::path& output, const ConvertOptions& options = {});

}  // namespace limpid
