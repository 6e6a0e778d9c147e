#include <limpid/nn/efficientnet.h>
#include <limpid/nn/model.h>
#include <limpid/nn/resnet.h>
#include <limpid/runtime/near_names.h>
#include <limpid/weights/architecture.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace limpid {
namespace {

constexpr std::string_view lite0 = "efficientnet_lite0";

std::string lower(std::string_view text) {
  std::string s(text);
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return s;
}

template <class T>
bool parse(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

std::string list_of_architectures() {
  std::string list;
  for (const auto& name : architectures()) list += (list.empty() ? "" : ", ") + name;
  return list;
}

std::string known_architecture(std::string_view name) {
  const auto known = architectures();
  if (std::find(known.begin(), known.end(), name) == known.end())
    fail(ErrorCode::invalid_argument, "There is no architecture '", name, "'.", did_you_mean(name, known));
  return std::string(name);
}

Value build(std::string_view architecture, Parameters& parameters, Value x, std::int64_t classes) {
  require(x.shape().rank() == 3 && x.shape()[0] == 3, "The network takes pictures [3, H, W], not ", x.shape(), ".");
  const nn::Builder builder{*x.graph, parameters};
  const auto config = nn::resnet_config(architecture);
  return config ? nn::resnet(builder, x, *config, classes) : nn::efficientnet_lite0(builder, x, classes);
}

/// A file without a classifier is compared as if it had been trained on ImageNet.
std::int64_t classes_of(const ModelFile& file) { return file.labels.empty() ? 1000 : static_cast<std::int64_t>(file.labels.size()); }

}  // namespace

std::vector<std::string> architectures() {
  return {"resnet18",         "resnet34",        "resnet50",         "resnet101",        "resnet152",       "wide_resnet50_2",
          "wide_resnet101_2", "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", std::string(lite0)};
}

std::shared_ptr<const Model> Model::load(std::string_view weights, std::string_view architecture) {
  const std::shared_ptr<Model> model(new Model);
  std::shared_ptr<Parameters> parameters;
  if (weights == "random" || weights.starts_with("random:")) {
    std::uint64_t seed = 0;
    require(weights == "random" || parse(weights.substr(7), seed), "'", weights, "' is not random[:SEED]; the seed is a whole number.");
    model->architecture_ = known_architecture(architecture.empty() ? "resnet18" : architecture);
    model->weights_ = weights;
    parameters = std::make_shared<RandomParameters>(seed);
    for (int i = 0; i < 1000; ++i) model->labels_.push_back("class " + std::to_string(i));
  } else {
    ModelFile file = open_model(weights);
    if (architecture.empty() && file.architecture.empty()) {
      const std::string kind = explain_unknown_architecture(file.tensors);
      if (!kind.empty()) fail(ErrorCode::unsupported, file.path.string(), " is ", kind, ". limpid builds: ", list_of_architectures(), ".");
      fail(ErrorCode::bad_file, file.path.string(), " does not name its architecture, and its tensors look like none that limpid builds (",
           list_of_architectures(), "). Name it with --model if it is one of them.");
    }
    model->architecture_ = known_architecture(architecture.empty() ? file.architecture : architecture);
    if (const Mismatch mismatch = compare(file, model->architecture_); !mismatch.empty())
      fail(ErrorCode::bad_file, file.path.string(), " does not fit ", model->architecture_, ": of its tensors ", mismatch.to_string(),
           ". `limpid weights inspect` lists them all; --model names another architecture.");
    model->weights_ = file.name;
    model->labels_ = std::move(file.labels);
    model->notes_ = std::move(file.notes);
    if (file.preprocessing) model->preprocessing_ = *file.preprocessing;
    parameters = std::make_shared<FileParameters>(std::move(file.tensors));
  }
  model->default_layer_ = model->architecture_ == lite0 ? "blocks.6" : "layer4";
  model->build_ = [parameters, built = model->architecture_, classes = model->classes()](Value x) { return build(built, *parameters, x, classes); };
  return model;
}

Mismatch compare(const ModelFile& file, std::string_view architecture) {
  FileParameters parameters(file.tensors);
  Graph graph;
  const int side = file.preprocessing ? file.preprocessing->crop : Preprocessing().crop;
  build(known_architecture(architecture), parameters, graph.input("input", Shape{3, side, side}), classes_of(file));
  return parameters.mismatch();
}

std::shared_ptr<const Model> Model::define(ModelDefinition definition) {
  require(definition.build && !definition.labels.empty(), "Model::define: a build function and at least one label are needed.");
  const std::shared_ptr<Model> model(new Model);
  model->architecture_ = model->weights_ = std::move(definition.name);
  model->build_ = std::move(definition.build);
  model->labels_ = std::move(definition.labels);
  model->preprocessing_ = definition.preprocessing;
  model->default_layer_ = std::move(definition.default_layer);
  return model;
}

Network Model::network(const Shape& input) const {
  const std::lock_guard lock(mutex_);
  auto& graph = graphs_[input.dims()];
  if (!graph) {
    auto fresh = std::make_shared<Graph>();
    for (const auto& [shape, other] : graphs_)
      if (other) fresh->share_derived(*other);
    const Value logits = build_(fresh->input("input", input));
    require(logits.shape() == Shape{classes()}, "The network's output has the shape ", logits.shape(), " for ", classes(), " labels.");
    fresh->name(logits, "logits");
    graph = fresh;
  }
  return {graph, graph->at("input"), graph->at("logits")};
}

std::int64_t Model::class_index(std::string_view text) const {
  std::int64_t index = 0;
  if (parse(text, index)) {
    require(0 <= index && index < classes(), "The target ", index, " is out of range; this model has the classes 0 to ", classes() - 1, ".");
    return index;
  }
  const std::string wanted = lower(text);
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    const std::string label = lower(labels_[i]);
    if (label == wanted || label.substr(0, label.find(',')) == wanted) return static_cast<std::int64_t>(i);
  }
  fail(ErrorCode::not_found, "No class is labelled '", text, "'.", did_you_mean(text, labels_));
}

}  // namespace limpid
