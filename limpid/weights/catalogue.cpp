#include <limpid/runtime/error.h>
#include <limpid/weights/catalogue.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <system_error>
#include <vector>

namespace limpid {
namespace {

namespace fs = std::filesystem;

/// A row of torchvision's table. Sizes in MiB as torchvision states them (`_file_size`); whole digests as several projects publish them,
/// each beginning as the file's name says.
struct Row {
  const char *architecture, *version, *sha256;
  double mebibytes, top1;
  int resize;
  bool newest;
};

constexpr Row rows[] = {
    {"resnet18", "V1", "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec", 44.661, 69.758, 256, true},
    {"resnet34", "V1", "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f", 83.275, 73.314, 256, true},
    {"resnet50", "V1", "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a", 97.781, 76.130, 256, false},
    {"resnet50", "V2", "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca", 97.790, 80.858, 232, true},
    {"resnet101", "V1", "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a", 170.511, 77.374, 256, false},
    {"resnet101", "V2", "cd907fc2", 170.530, 81.886, 232, true},
    {"resnet152", "V1", "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58", 230.434, 78.312, 256, false},
    {"resnet152", "V2", "f82ba261", 230.474, 82.284, 232, true},
    {"wide_resnet50_2", "V1", "95faca4d11227dddf8633dbb5ff6c8a9003c1aa5b8945c73834b8007b10950b8", 131.820, 78.468, 256, false},
    {"wide_resnet50_2", "V2", "9ba9bcbe", 263.124, 81.602, 232, true},
    {"wide_resnet101_2", "V1", "32ee11565f95f2f07223b243ada444a6457c4b90a88e6e293922813faf6dfd06", 242.896, 78.848, 256, false},
    {"wide_resnet101_2", "V2", "d733dc28", 484.747, 82.510, 232, true},
    {"resnext50_32x4d", "V1", "7cdf4587", 95.789, 77.618, 256, false},
    {"resnext50_32x4d", "V2", "1a0047aa", 95.833, 81.198, 232, true},
    {"resnext101_32x8d", "V1", "8ba56ff5", 339.586, 79.312, 256, false},
    {"resnext101_32x8d", "V2", "110c445d", 339.673, 82.834, 232, true},
    {"resnext101_64x4d", "V1", "173b62eb", 319.318, 83.246, 232, true},
};

/// "wide_resnet50_2" -> "Wide_ResNet50_2", as torchvision writes it in `Wide_ResNet50_2_Weights`.
std::string written(std::string name) {
  for (const auto& [lower, upper] :
       {std::pair("wide_", "Wide_"), std::pair("resnet", "ResNet"), std::pair("resnext", "ResNeXt"), std::pair("x4d", "X4D"), std::pair("x8d", "X8D")})
    if (const auto at = name.find(lower); at != std::string::npos) name.replace(at, std::string(lower).size(), upper);
  return name;
}

PublishedWeights entry(const Row& row) {
  const std::string architecture = row.architecture, version = row.version;
  PublishedWeights w;
  w.name = architecture + (version == "V1" ? "_v1" : "_v2");
  w.architecture = architecture;
  w.enumerator = written(architecture) + "_Weights.IMAGENET1K_" + version;
  w.file = architecture + "-" + std::string(row.sha256).substr(0, 8) + ".pth";
  w.bytes = static_cast<std::uint64_t>(std::llround(row.mebibytes * 1024 * 1024));
  w.bytes_off = 1024;
  w.sha256 = row.sha256;
  w.top1 = row.top1;
  w.newest = row.newest;
  w.preprocessing.resize = row.resize;
  return w;
}

std::optional<fs::path> folder_in(const char* variable) {
  const char* named = std::getenv(variable);
  return named && *named ? std::optional<fs::path>(named) : std::nullopt;
}

/// The user's folder for what can be had again (XDG Base Directory Specification: a relative path there does not count).
std::optional<fs::path> user_cache() {
  if (const auto named = folder_in("XDG_CACHE_HOME"); named && named->is_absolute()) return named;
  if (const auto home = folder_in("HOME")) return *home / ".cache";
  return std::nullopt;
}

}  // namespace

std::span<const PublishedWeights> published_weights() {
  static const std::vector<PublishedWeights> all = [] {
    std::vector<PublishedWeights> list;
    for (const auto& row : rows) list.push_back(entry(row));
    return list;
  }();
  return all;
}

const PublishedWeights* find_published(std::string_view name) {
  for (const auto& w : published_weights())
    if (name == w.name || (w.newest && name == w.architecture) || name == w.file || std::string(name) + ".pth" == w.file) return &w;
  return nullptr;
}

std::string url_of(const PublishedWeights& weights) {
  const char* mirror = std::getenv("LIMPID_WEIGHTS_URL");
  std::string base = mirror && *mirror ? mirror : "https://download.pytorch.org/models";
  if (!base.ends_with('/')) base += '/';
  return base + weights.file;
}

fs::path cache_path(const PublishedWeights& weights) {
  const auto cache = user_cache();
  if (!cache) fail(ErrorCode::not_found, "There is no folder to keep ", weights.name, " in. Set XDG_CACHE_HOME to one, or HOME.");
  return *cache / "limpid" / weights.file;
}

std::optional<fs::path> find_cached(const PublishedWeights& weights) {
  std::vector<fs::path> places;
  const auto cache = user_cache(), torch = folder_in("TORCH_HOME");
  if (cache) places.push_back(*cache / "limpid");
  if (torch) places.push_back(*torch / "hub/checkpoints");
  else if (cache) places.push_back(*cache / "torch/hub/checkpoints");
  for (const auto& place : places) {
    std::error_code missing;
    const auto size = fs::file_size(place / weights.file, missing);
    if (!missing && weights.has_size(size)) return place / weights.file;
  }
  return std::nullopt;
}

fs::path fetch(const PublishedWeights& weights, const DownloadOptions& options) {
  const fs::path target = cache_path(weights);
  const std::uint64_t least = weights.bytes - std::min(weights.bytes, weights.bytes_off);
  download({url_of(weights), target, least, weights.bytes + weights.bytes_off, weights.sha256}, options);
  return target;
}

}  // namespace limpid
