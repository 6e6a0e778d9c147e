#pragma once
// Trained models: the ones that come with limpid, and any file by its path.
#include <limpid/runtime/tensor.h>
#include <limpid/weights/preprocessing.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limpid {

/// A trained model's file as limpid sees it: tensors, and what the metadata says.
struct ModelFile {
  std::string name;  // the catalogue's name, or the file's without its suffix
  std::filesystem::path path;
  std::string format;                          // "safetensors", "PyTorch zip archive", "PyTorch legacy stream"
  std::string architecture;                    // "resnet18"; from the metadata, else from the tensors; "" when unknown
  std::vector<std::string> labels;             // one per class; ImageNet's for 1000 classes without labels, else "class 0", ...
  std::optional<Preprocessing> preprocessing;  // from the metadata or the catalogue; nothing when neither says
  std::map<std::string, std::string> metadata;
  std::map<std::string, Tensor> tensors;  // under limpid's names; read-only views of the mapped file where its layout allows
  std::vector<std::string> notes;         // a sentence each: what was unwrapped, renamed, left out or assumed
};

struct BundledModel {
  std::string name, file, description;
  std::size_t bytes;
};

/// The models that come with limpid; the first is the default.
std::span<const BundledModel> bundled_models();

/// Where a bundled model's file lies: in $LIMPID_MODELS, in ../share/limpid/models beside the running program, under the install prefix,
/// or in the source tree. Throws not_found for a name that is not bundled, or listing where it looked.
std::filesystem::path find_bundled_model(std::string_view name);

/// Opens a safetensors file or a checkpoint of PyTorch's (anything that exists, has a suffix or a slash), a bundled model by name, or weights of
/// the catalogue that have been fetched. It does not download: `fetch` does. Throws not_found (with names that are near, or saying how to
/// fetch), bad_file, io, unsupported.
ModelFile open_model(std::string_view path_or_name);

}  // namespace limpid
