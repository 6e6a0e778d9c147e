#include <limpid/runtime/error.h>
#include <limpid/weights/architecture.h>
#include <limpid/weights/catalogue.h>
#include <limpid/weights/convert.h>
#include <limpid/weights/excerpt.h>
#include <limpid/weights/safetensors.h>
#include <limpid/weights/sha256.h>

#include <nlohmann/json.hpp>

#include <cmath>

namespace limpid {
namespace {

bool is_float(DType dtype) { return dtype == DType::f64 || dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16; }

Tensor converted(const std::string& name, const Tensor& tensor, DType dtype) {
  if (!is_float(tensor.dtype()) || tensor.dtype() == dtype) return tensor;
  const Tensor result = tensor.to(dtype), before = tensor.to(DType::f64), after = result.to(DType::f64);
  // A number beyond the type's range would silently become infinite: variances do, in f16.
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    const double x = before.data<double>()[i], y = after.data<double>()[i];
    require(std::isfinite(y) || !std::isfinite(x), "The tensor ", excerpt(name), " holds ", x, ", which ", name_of(dtype), " cannot. Convert to bf16 or f32.");
  }
  return result;
}

/// The catalogue's entry that the file is, by name and digest.
const PublishedWeights* identify(const ModelFile& file, const std::string& sha256) {
  const auto* published = find_published(file.path.filename().string());
  if (published && !sha256.starts_with(published->sha256))
    fail(ErrorCode::bad_file, file.path.string(), " has the name of ", published->enumerator, " but not its SHA-256 (", published->sha256.substr(0, 8),
         "...): it begins with ", sha256.substr(0, 8), ". Fetch it again, or give it another name.");
  return published;
}

std::map<std::string, std::string> describe(const ModelFile& file, const ConvertOptions& options) {
  auto metadata = file.metadata;
  const std::string sha256 = sha256_of(file.path);
  const auto* published = identify(file, sha256);
  std::string source = file.path.filename().string() + " (" + file.format + ")";
  if (published) source += ", " + published->enumerator + " of torchvision";
  if (const auto before = metadata.find("source"); before != metadata.end()) source += ", made from: " + before->second;
  for (const char* key : {"version", "byteorder"})  // of the archive, which this file is not
    if (file.format != "safetensors") metadata.erase(key);
  metadata["format"] = "pt";  // what other readers of safetensors look for: the layout of the tensors is PyTorch's
  metadata["source"] = source;
  metadata["source_sha256"] = sha256;
  if (!file.architecture.empty()) metadata["architecture"] = file.architecture;
  if (file.preprocessing) metadata["preprocessing"] = to_json(*file.preprocessing);
  const auto& labels = options.labels ? *options.labels : file.labels;
  if (!labels.empty()) metadata["labels"] = nlohmann::json(labels).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return metadata;
}

}  // namespace

void convert(const ModelFile& file, const std::filesystem::path& output, const ConvertOptions& options) {
  if (options.dtype)
    require(*options.dtype == DType::f16 || *options.dtype == DType::bf16 || *options.dtype == DType::f32, "Weights are converted to f16, bf16 or f32, not to ",
            name_of(*options.dtype), ".");
  const auto classes = count_classes(file.tensors);
  if (options.labels)
    require(static_cast<std::int64_t>(options.labels->size()) == classes, "There are ", options.labels->size(), " labels for the ", classes, " classes of ",
            file.path.string(), ".");
  std::map<std::string, Tensor> tensors;
  for (const auto& [name, tensor] : file.tensors) tensors.emplace(name, options.dtype ? converted(name, tensor, *options.dtype) : tensor);
  write_safetensors(output, tensors, describe(file, options));
}

}  // namespace limpid
