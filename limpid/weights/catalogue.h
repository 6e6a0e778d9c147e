#pragma once
// The weights that others publish and limpid knows by name: torchvision's ResNets for ImageNet.
#include <limpid/weights/download.h>
#include <limpid/weights/preprocessing.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace limpid {

/// Source: torchvision/models/resnet.py, 0.29 (URL, size, accuracy, transforms of each `ResNet50_Weights.IMAGENET1K_V1`, ...).
struct PublishedWeights {
  std::string name;          // "resnet50_v2"
  std::string architecture;  // "resnet50"
  std::string enumerator;    // torchvision's: "ResNet50_Weights.IMAGENET1K_V2"
  std::string file;          // "resnet50-11ad3fa6.pth"
  std::uint64_t bytes = 0;   // torchvision gives MiB with three decimals, so this may be off by `bytes_off`
  std::uint64_t bytes_off = 0;
  std::string sha256;           // 64 hexadecimal digits, or the first eight, which torchvision's file names carry
  double top1 = 0;              // per cent of ImageNet's validation pictures
  bool newest = false;          // what the architecture's name alone stands for; torchvision's DEFAULT
  Preprocessing preprocessing;  // the pictures that `top1` was measured with

  bool has_size(std::uint64_t size) const { return size + bytes_off >= bytes && size <= bytes + bytes_off; }
};

std::span<const PublishedWeights> published_weights();

/// The weights called so: by name ("resnet50_v2"), by architecture ("resnet50": the newest), or by file ("resnet50-11ad3fa6", with or without ".pth").
const PublishedWeights* find_published(std::string_view name);

/// Where they are downloaded from: in the folder that $LIMPID_WEIGHTS_URL names, else at https://download.pytorch.org/models.
std::string url_of(const PublishedWeights& weights);

/// Where they are kept: in $XDG_CACHE_HOME/limpid, else ~/.cache/limpid. Throws not_found when neither variable nor a home folder is there.
std::filesystem::path cache_path(const PublishedWeights& weights);

/// The file, of the right size, in limpid's cache or in PyTorch's ($TORCH_HOME/hub/checkpoints, else under ~/.cache/torch).
std::optional<std::filesystem::path> find_cached(const PublishedWeights& weights);

/// Downloads the weights into limpid's cache, unless they are there and whole, and returns their path. Throws as `download` does.
std::filesystem::path fetch(const PublishedWeights& weights, const DownloadOptions& options = {});

}  // namespace limpid
