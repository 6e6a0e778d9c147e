#include <limpid/runtime/error.h>
#include <limpid/runtime/near_names.h>
#include <limpid/weights/architecture.h>
#include <limpid/weights/excerpt.h>
#include <limpid/weights/models.h>
#include <limpid/weights/safetensors.h>

#include <nlohmann/json.hpp>

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

/// Refuses PyTorch's own files before the safetensors reader calls them damaged.
void refuse_pytorch(const fs::path& path) {
  std::array<char, 4> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  const std::string_view bytes(start.data(), start.size());
  const bool zip = bytes.starts_with("PK\x03\x04");
  const bool pickle = bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5 && bytes[3] > 5;  // a safetensors header of 100 MB has a 5 there
  if (zip || pickle || path.extension() == ".pth" || path.extension() == ".pt")
    fail(ErrorCode::unsupported, path.string(),
         " looks like a PyTorch checkpoint (.pth, .pt), which this version does not read. Convert it: "
         "safetensors.torch.save_file(model.state_dict(), 'model.safetensors') in Python.");
}

std::vector<std::string> labels_from_json(const std::string& text, const std::string& file) {
  const auto refuse = [&] { fail(ErrorCode::bad_file, file, ": the metadata's labels are not a JSON list of strings. Correct the file's metadata."); };
  const auto guard = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > 1) refuse();
    return true;
  };
  const auto list = nlohmann::json::parse(text, guard, false);
  if (!list.is_array()) refuse();
  std::vector<std::string> labels;
  for (const auto& label : list) {
    if (!label.is_string()) refuse();
    labels.push_back(label.get<std::string>());
  }
  return labels;
}

/// ImageNet's 1000 labels, which the default model carries; none when it is not to be found.
std::vector<std::string> imagenet_labels() {
  try {
    const auto path = find_bundled_model(bundled_models().front().name);
    return labels_from_json(read_safetensors(path).metadata.at("labels"), path.string());
  } catch (const Error&) { return {}; }
}

std::vector<std::string> labels_of(const SafetensorsFile& file, const std::string& name) {
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

std::string architecture_of(const SafetensorsFile& file) {
  for (const char* key : {"architecture", "arch"})
    if (const auto found = file.metadata.find(key); found != file.metadata.end() && !found->second.empty()) return found->second;
  return detect_architecture(file.tensors);
}

/// The catalogue's name of a bundled file, else the file's name without the suffix.
std::string name_of_file(const fs::path& path) {
  for (const auto& model : bundled_models())
    if (path.filename() == model.file) return model.name;
  return path.stem().string();
}

ModelFile open_file(const fs::path& path) {
  if (is_file(path)) refuse_pytorch(path);
  auto file = read_safetensors(path);
  ModelFile model;
  model.name = name_of_file(path);
  model.path = path;
  model.architecture = architecture_of(file);
  model.labels = labels_of(file, path.string());
  if (const auto found = file.metadata.find("preprocessing"); found != file.metadata.end())
    model.preprocessing = preprocessing_from_json(found->second, path.string());
  model.metadata = std::move(file.metadata);
  model.tensors = std::move(file.tensors);
  return model;
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
  fail(ErrorCode::not_found, "No model is called ", excerpt(name), ".", did_you_mean(name, names), " Bundled: ", all, "; or name a .safetensors file.");
}

ModelFile open_model(std::string_view path_or_name) {
  require(!path_or_name.empty(), "open_model: the name is empty. Name a bundled model or a .safetensors file.");
  const fs::path path(path_or_name);
  if (is_file(path)) return open_file(path);
  for (const auto& model : bundled_models()) {
    if (model.name != path_or_name) continue;
    auto opened = open_file(find_bundled_model(path_or_name));
    opened.name = model.name;
    return opened;
  }
  std::error_code ignored;
  const bool means_path = path_or_name.find('/') != std::string_view::npos || path.has_extension() || fs::exists(path, ignored);
  return open_file(means_path ? path : find_bundled_model(path_or_name));
}

}  // namespace limpid
