#include <limpid/runtime/error.h>
#include <limpid/runtime/near_names.h>
#include <limpid/weights/architecture.h>
#include <limpid/weights/catalogue.h>
#include <limpid/weights/excerpt.h>
#include <limpid/weights/labels.h>
#include <limpid/weights/models.h>
#include <limpid/weights/pytorch.h>
#include <limpid/weights/safetensors.h>
#include <limpid/weights/tensor_names.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <system_error>
#include <utility>

namespace limpid {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

std::vector<fs::path> model_folders() {
  std::vector<fs::path> folders;
  if (const char* named = std::getenv("LIMPID_MODELS"); named && *named) folders.emplace_back(named);
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) folders.push_back((program.parent_path() / "../share/limpid/models").lexically_normal());
  folders.emplace_back(LIMPID_INSTALL_MODELS);
  folders.emplace_back(LIMPID_SOURCE_MODELS);
  return folders;
}

/// ImageNet's 1000 labels, which the default model carries; none when it is not to be found.
std::vector<std::string> imagenet_labels() {
  try {
    const auto path = find_bundled_model(bundled_models().front().name);
    return labels_from_json(read_safetensors(path).metadata.at("labels"), path.string());
  } catch (const Error&) { return {}; }
}

std::vector<std::string> labels_of(const ModelFile& file) {
  const std::string name = file.path.string();
  const auto classes = static_cast<std::size_t>(count_classes(file.tensors));
  if (const auto found = file.metadata.find("labels"); found != file.metadata.end()) {
    auto labels = labels_from_json(found->second, name);
    if (classes && labels.size() != classes)
      fail(ErrorCode::bad_file, name, " has ", labels.size(), " labels for ", classes, " classes. Correct the file's metadata.");
    return labels;
  }
  std::vector<std::string> labels;
  if (classes == 1000) labels = imagenet_labels();
  if (labels.size() == classes) return labels;
  labels.clear();
  for (std::size_t i = 0; i < classes; ++i) labels.push_back("class " + std::to_string(i));
  return labels;
}

std::string architecture_of(const ModelFile& file) {
  for (const char* key : {"architecture", "arch"})
    if (const auto found = file.metadata.find(key); found != file.metadata.end() && !found->second.empty()) return found->second;
  return detect_architecture(file.tensors);
}

/// A bundled file's name, else the file's without the suffix.
std::string name_of_file(const fs::path& path) {
  for (const auto& model : bundled_models())
    if (path.filename() == model.file) return model.name;
  return path.stem().string();
}

/// The catalogue's entry with this file's name and size.
const PublishedWeights* published_file(const fs::path& path) {
  const auto* published = find_published(path.filename().string());
  std::error_code missing;
  const auto size = published ? fs::file_size(path, missing) : 0;
  return published && !missing && published->has_size(size) ? published : nullptr;
}

/// Eight bytes of length, then a JSON object.
bool is_safetensors(std::span<const std::byte> start) { return start.size() > 8 && start[8] == std::byte{'{'}; }

void read_tensors(ModelFile& model) {
  const auto& path = model.path;
  std::array<std::byte, 64> start{};
  std::ifstream in(path, std::ios::binary);
  if (is_file(path)) in.read(reinterpret_cast<char*>(start.data()), start.size());
  const bool named_so = path.extension() == ".pth" || path.extension() == ".pt" || path.extension() == ".ckpt" || path.extension() == ".bin";
  const auto read = std::span(start).first(static_cast<std::size_t>(in.gcount()));
  if (!read.empty() && (is_pytorch(read) || (named_so && !is_safetensors(read)))) {
    auto file = read_pytorch(path);
    model.format = std::move(file.format);
    model.tensors = std::move(file.tensors);
    model.notes = std::move(file.notes);
    model.metadata = std::move(file.metadata);
  } else {
    auto file = read_safetensors(path);
    model.format = "safetensors";
    model.tensors = std::move(file.tensors);
    model.metadata = std::move(file.metadata);
  }
}

/// What the tensors do not say of an EfficientNet-Lite0 without metadata.
void assume_tensorflow(ModelFile& model) {
  try {
    const auto bundled = find_bundled_model("efficientnet_lite0");
    const auto metadata = read_safetensors(bundled).metadata;
    model.preprocessing = preprocessing_from_json(metadata.at("preprocessing"), bundled.string());
  } catch (const Error&) { return; }
  model.notes.push_back("Taken for a network of TensorFlow's (its padding, epsilon and preprocessing; tf_efficientnet_lite0 in timm).");
}

ModelFile open_file(const fs::path& path) {
  ModelFile model;
  model.name = name_of_file(path);
  model.path = path;
  read_tensors(model);
  for (auto& note : adopt_names(model.tensors, path.string())) model.notes.push_back(std::move(note));
  model.architecture = architecture_of(model);
  model.labels = labels_of(model);
  const auto* published = published_file(path);
  if (published) model.name = published->name;
  if (const auto found = model.metadata.find("preprocessing"); found != model.metadata.end())
    model.preprocessing = preprocessing_from_json(found->second, path.string());
  else if (published) model.preprocessing = published->preprocessing;
  else if (model.architecture == "efficientnet_lite0") assume_tensorflow(model);
  return model;
}

/// Weights of the catalogue, which must have been fetched.
ModelFile open_published(const PublishedWeights& weights) {
  const auto path = find_cached(weights);
  if (!path)
    fail(ErrorCode::not_found, "The weights ", weights.name, " (", weights.file, ") have not been fetched. `limpid weights fetch ", weights.name,
         "` downloads them.");
  return open_file(*path);
}

}  // namespace

std::span<const BundledModel> bundled_models() {
  static const std::array<BundledModel, 2> models = {{
      {"efficientnet_lite0", "efficientnet_lite0_imagenet.f16.safetensors", "EfficientNet-Lite0, 1000 ImageNet classes, 75.1 % top-1 (published)", 9'428'232},
      {"resnet18_imagenette", "resnet18_imagenette.f16.safetensors", "ResNet-18, ten Imagenette classes, 83.9 % top-1", 22'392'916},
  }};
  return models;
}

fs::path find_bundled_model(std::string_view name) {
  std::vector<std::string> names;
  for (const auto& model : bundled_models()) {
    names.push_back(model.name);
    if (model.name != name) continue;
    std::string looked;
    for (const auto& folder : model_folders()) {
      if (is_file(folder / model.file)) return folder / model.file;
      looked += (looked.empty() ? "" : ", ") + folder.string();
    }
    fail(ErrorCode::not_found, "The bundled model ", name, " (", model.file, ") is in none of: ", looked, ". Set LIMPID_MODELS to its folder.");
  }
  std::string all;
  for (const auto& known : names) all += (all.empty() ? "" : ", ") + known;
  for (const auto& published : published_weights()) names.push_back(published.name);
  fail(ErrorCode::not_found, "No model is called ", excerpt(name), ".", did_you_mean(name, names), " Bundled: ", all,
       "; `limpid weights list` prints those to download; or name a .safetensors, .pth or .pt file.");
}

ModelFile open_model(std::string_view path_or_name) {
  require(!path_or_name.empty(), "open_model: the name is empty. Name a model or a file.");
  const fs::path path(path_or_name);
  if (is_file(path)) return open_file(path);
  for (const auto& model : bundled_models()) {
    if (model.name != path_or_name) continue;
    auto opened = open_file(find_bundled_model(path_or_name));
    opened.name = model.name;
    return opened;
  }
  if (const auto* published = find_published(path_or_name)) return open_published(*published);
  std::error_code ignored;
  const bool means_path = path_or_name.find('/') != std::string_view::npos || path.has_extension() || fs::exists(path, ignored);
  return open_file(means_path ? path : find_bundled_model(path_or_name));
}

}  // namespace limpid
