#pragma once
// A classifier ready for use: architecture, weights, labels and preprocessing together.
#include <limpid/nn/network.h>
#include <limpid/nn/parameters.h>
#include <limpid/weights/models.h>

#include <functional>

#include <mutex>

namespace limpid {

/// What makes a network of one's own a model: how to build it, and what surrounds it.
struct ModelDefinition {
  std::string name;
  /// Appends the network to x's graph and returns the logits [classes]; values that it names can be looked up as layers.
  std::function<Value(Value x)> build;
  std::vector<std::string> labels;  // one per class
  Preprocessing preprocessing;
  std::string default_layer;  // for Grad-CAM
};

/// Const and shared by threads.
class Model {
 public:
  /// `weights`: a file, the name of a bundled model or of fetched weights, or `random[:SEED]`. `architecture`: what to build; "" takes what the
  /// weights say (resnet18 for random ones). Throws not_found, bad_file (naming the tensors that are missing, unexpected or misshaped),
  /// invalid_argument.
  static std::shared_ptr<const Model> load(std::string_view weights = "efficientnet_lite0", std::string_view architecture = {});

  /// A network of one's own. `build` must be safe to call again, for other input shapes. Throws what `build` throws when first applied.
  static std::shared_ptr<const Model> define(ModelDefinition definition);

  const std::string& architecture() const { return architecture_; }
  const std::string& weights() const { return weights_; }
  /// What was unwrapped, renamed, left out or assumed when the file was read, a sentence each.
  const std::vector<std::string>& notes() const { return notes_; }
  const std::vector<std::string>& labels() const { return labels_; }
  std::int64_t classes() const { return static_cast<std::int64_t>(labels_.size()); }
  const Preprocessing& preprocessing() const { return preprocessing_; }
  /// The layer that Grad-CAM looks at by default: the last one with spatial extent.
  const std::string& default_layer() const { return default_layer_; }

  /// The network for inputs of that shape ([C,H,W]); built once a shape. Throws invalid_argument when the shape does not suit it.
  Network network(const Shape& input) const;

  /// The class that a text names: an index, a label, or the part of a label before its first comma, case apart. Throws not_found with near labels.
  std::int64_t class_index(std::string_view text) const;

 private:
  Model() = default;
  std::string architecture_, weights_, default_layer_;
  std::vector<std::string> labels_, notes_;
  Preprocessing preprocessing_;
  mutable std::mutex mutex_;
  std::function<Value(Value)> build_;
  mutable std::map<std::vector<std::int64_t>, std::shared_ptr<Graph>> graphs_;
};

/// How the file's tensors differ from what that architecture needs for the file's classes. Throws invalid_argument for an unknown one.
Mismatch compare(const ModelFile& file, std::string_view architecture);

/// Every architecture that `Model::load` can build.
std::vector<std::string> architectures();

}  // namespace limpid
