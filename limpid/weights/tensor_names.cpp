#include <limpid/runtime/error.h>
#include <limpid/weights/excerpt.h>
#include <limpid/weights/tensor_names.h>

#include <charconv>
#include <functional>
#include <optional>
#include <string_view>

namespace limpid {
namespace {

using Tensors = std::map<std::string, Tensor>;

/// The first tensor of the first block, in each way of naming that is understood.
constexpr std::string_view torchvision_block = "layer1.0.conv1.weight", timm_block = "blocks.0.0.conv_dw.weight",
                           efficientnet_block = "_blocks.0._depthwise_conv.weight", hugging_face_block = "encoder.stages.0.layers.0.layer.0.convolution.weight";

/// Gives each tensor the name that `rename` returns; nothing leaves it as it is.
void rename_all(Tensors& tensors, const std::string& file, const std::function<std::optional<std::string>(const std::string&)>& rename) {
  Tensors renamed;
  for (auto& [name, tensor] : tensors) {
    const auto [place, fresh] = renamed.emplace(rename(name).value_or(name), tensor);
    if (!fresh)
      fail(ErrorCode::bad_file, file, ": two of its tensors are ", excerpt(place->first), " in limpid's names, one of them called ", excerpt(name), ".");
  }
  tensors = std::move(renamed);
}

/// What stands in front of every name of the network; nothing when there is no network or several.
std::optional<std::string> prefix_of(const Tensors& tensors) {
  std::optional<std::string> prefix;
  for (const auto& [name, tensor] : tensors) {
    for (const auto block : {torchvision_block, timm_block, efficientnet_block, hugging_face_block}) {
      if (!name.ends_with(block)) continue;
      const std::string before = name.substr(0, name.size() - block.size());
      if (!before.empty() && !before.ends_with('.')) continue;
      if (prefix && *prefix != before) return std::nullopt;
      prefix = before;
    }
  }
  return prefix;
}

/// "12.rest" -> 12, leaving "rest".
std::optional<int> take_number(std::string_view& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number < 0 || number > 1000 || end == text.data() + text.size() || *end != '.') return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  return number;
}

bool take(std::string_view& text, std::string_view start) {
  if (!text.starts_with(start)) return false;
  text.remove_prefix(start.size());
  return true;
}

/// transformers.ResNetForImageClassification; without "resnet." the body alone.
std::optional<std::string> from_hugging_face(std::string_view n) {
  take(n, "resnet.");
  if (take(n, "classifier.1.")) return "fc." + std::string(n);
  if (take(n, "embedder.embedder.convolution.")) return "conv1." + std::string(n);
  if (take(n, "embedder.embedder.normalization.")) return "bn1." + std::string(n);
  if (!take(n, "encoder.stages.")) return std::nullopt;
  const auto stage = take_number(n);
  if (!stage || !take(n, "layers.")) return std::nullopt;
  const auto block = take_number(n);
  if (!block) return std::nullopt;
  const std::string name = "layer" + std::to_string(*stage + 1) + "." + std::to_string(*block) + ".";
  if (take(n, "shortcut.convolution.")) return name + "downsample.0." + std::string(n);
  if (take(n, "shortcut.normalization.")) return name + "downsample.1." + std::string(n);
  if (!take(n, "layer.")) return std::nullopt;
  const auto layer = take_number(n);
  if (!layer) return std::nullopt;
  if (take(n, "convolution.")) return name + "conv" + std::to_string(*layer + 1) + "." + std::string(n);
  if (take(n, "normalization.")) return name + "bn" + std::to_string(*layer + 1) + "." + std::string(n);
  return std::nullopt;
}

/// efficientnet_pytorch counts blocks through; timm by stage. EfficientNet-Lite0's stages repeat so often:
constexpr int repeats[] = {1, 2, 2, 3, 3, 4, 1};

std::optional<std::string> from_efficientnet_pytorch(std::string_view n) {
  static constexpr std::pair<std::string_view, std::string_view> outside[] = {
      {"_conv_stem.", "conv_stem."}, {"_bn0.", "bn1."}, {"_conv_head.", "conv_head."}, {"_bn1.", "bn2."}, {"_fc.", "classifier."}};
  static constexpr std::pair<std::string_view, std::string_view> expanding[] = {{"_expand_conv.", "conv_pw."},    {"_bn0.", "bn1."},
                                                                                {"_depthwise_conv.", "conv_dw."}, {"_bn1.", "bn2."},
                                                                                {"_project_conv.", "conv_pwl."},  {"_bn2.", "bn3."}};
  static constexpr std::pair<std::string_view, std::string_view> separable[] = {// the first block does not expand
                                                                                {"_depthwise_conv.", "conv_dw."},
                                                                                {"_bn1.", "bn1."},
                                                                                {"_project_conv.", "conv_pw."},
                                                                                {"_bn2.", "bn2."}};
  const auto look_up = [&](std::string_view rest, const auto& table, const std::string& before) -> std::optional<std::string> {
    for (const auto& [theirs, ours] : table)
      if (take(rest, theirs)) return before + std::string(ours) + std::string(rest);
    return std::nullopt;
  };
  if (!take(n, "_blocks.")) return look_up(n, outside, "");
  auto block = take_number(n);
  if (!block) return std::nullopt;
  int stage = 0;
  while (stage < 7 && *block >= repeats[stage]) *block -= repeats[stage++];
  if (stage == 7) return std::nullopt;
  const std::string name = "blocks." + std::to_string(stage) + "." + std::to_string(*block) + ".";
  return stage == 0 ? look_up(n, separable, name) : look_up(n, expanding, name);
}

/// `fc.1.weight` of Sequential(Dropout, Linear): the number behind "fc." when its weight and bias are all that is there.
std::optional<std::string> wrapped_classifier(const Tensors& tensors, const std::string& layer) {
  std::optional<std::string> wrapped;
  for (auto it = tensors.lower_bound(layer + "."); it != tensors.end() && it->first.starts_with(layer + "."); ++it) {
    std::string_view rest = std::string_view(it->first).substr(layer.size() + 1);
    const auto number = take_number(rest);
    if (!number || (rest != "weight" && rest != "bias") || it->second.shape().rank() != (rest == "weight" ? 2 : 1)) return std::nullopt;
    const std::string here = layer + "." + std::to_string(*number) + ".";
    if (wrapped && *wrapped != here) return std::nullopt;
    wrapped = here;
  }
  return wrapped;
}

}  // namespace

std::vector<std::string> adopt_names(Tensors& tensors, const std::string& file) {
  std::vector<std::string> notes;
  auto prefix = prefix_of(tensors);
  if (!prefix) return notes;
  const bool hugging_face = tensors.contains(*prefix + std::string(hugging_face_block));
  if (hugging_face && prefix->ends_with("resnet.")) prefix->resize(prefix->size() - 7);  // the classifier stands beside "resnet."
  if (!prefix->empty()) {
    rename_all(tensors, file, [&](const std::string& name) { return name.starts_with(*prefix) ? std::optional(name.substr(prefix->size())) : std::nullopt; });
    notes.push_back("The prefix " + excerpt(*prefix) + " is removed from the names.");
  }
  const bool lite0 = tensors.contains(std::string(efficientnet_block)) && tensors.contains("_blocks.15._project_conv.weight") &&
                     !tensors.contains("_blocks.16._project_conv.weight") && !tensors.contains("_blocks.0._se_reduce.weight");
  if (hugging_face) {
    rename_all(tensors, file, from_hugging_face);
    notes.push_back("Hugging Face's names are turned into torchvision's.");
  } else if (lite0) {
    rename_all(tensors, file, from_efficientnet_pytorch);
    notes.push_back("The names of efficientnet_pytorch are turned into timm's.");
  }
  for (const std::string layer : {"fc", "classifier"}) {
    const auto wrapped = wrapped_classifier(tensors, layer);
    if (!wrapped) continue;
    rename_all(tensors, file,
               [&](const std::string& name) { return name.starts_with(*wrapped) ? std::optional(layer + "." + name.substr(wrapped->size())) : std::nullopt; });
    notes.push_back("The linear layer " + excerpt(wrapped->substr(0, wrapped->size() - 1)) + " is taken for the classifier " + excerpt(layer) + ".");
  }
  return notes;
}

}  // namespace limpid
