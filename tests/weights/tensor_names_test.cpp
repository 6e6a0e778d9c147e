// Other projects' names for the tensors of the bundled networks, turned back.
#include <limpid/weights/architecture.h>
#include <limpid/weights/models.h>
#include <limpid/weights/tensor_names.h>

#include <gtest/gtest.h>
#include <tests/weights/expect_error.h>

#include <functional>
#include <regex>

namespace limpid::testing {
namespace {

using Tensors = std::map<std::string, Tensor>;

const Tensors& resnet18() {
  static const Tensors tensors = open_model("resnet18_imagenette").tensors;
  return tensors;
}

const Tensors& lite0() {
  static const Tensors tensors = open_model("efficientnet_lite0").tensors;
  return tensors;
}

Tensors renamed(const Tensors& tensors, const std::function<std::string(const std::string&)>& rename) {
  Tensors result;
  for (const auto& [name, tensor] : tensors) result.emplace(rename(name), tensor);
  EXPECT_EQ(result.size(), tensors.size());
  return result;
}

void expect_same(const Tensors& actual, const Tensors& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(actual.contains(name)) << name;
    EXPECT_EQ(actual.at(name).raw(), tensor.raw()) << name;
  }
}

/// As transformers.ResNetForImageClassification names them.
std::string to_hugging_face(std::string name) {
  static const std::pair<std::regex, const char*> rules[] = {
      {std::regex("^fc\\."), "classifier.1."},
      {std::regex("^conv1\\."), "resnet.embedder.embedder.convolution."},
      {std::regex("^bn1\\."), "resnet.embedder.embedder.normalization."},
      {std::regex("downsample\\.0\\."), "shortcut.convolution."},
      {std::regex("downsample\\.1\\."), "shortcut.normalization."},
      {std::regex("\\.conv1\\."), ".layer.0.convolution."},
      {std::regex("\\.conv2\\."), ".layer.1.convolution."},
      {std::regex("\\.bn1\\."), ".layer.0.normalization."},
      {std::regex("\\.bn2\\."), ".layer.1.normalization."},
      {std::regex("^layer1\\."), "resnet.encoder.stages.0.layers."},
      {std::regex("^layer2\\."), "resnet.encoder.stages.1.layers."},
      {std::regex("^layer3\\."), "resnet.encoder.stages.2.layers."},
      {std::regex("^layer4\\."), "resnet.encoder.stages.3.layers."},
  };
  for (const auto& [pattern, theirs] : rules) name = std::regex_replace(name, pattern, theirs);
  return name;
}

TEST(TensorNames, TorchvisionsStay) {
  Tensors tensors = resnet18();
  EXPECT_TRUE(adopt_names(tensors, "f").empty());
  expect_same(tensors, resnet18());
  tensors = lite0();
  EXPECT_TRUE(adopt_names(tensors, "f").empty());
  expect_same(tensors, lite0());
}

TEST(TensorNames, HuggingFacesResNet) {
  for (const std::string prefix : {"", "model."}) {
    Tensors tensors = renamed(resnet18(), [&](const auto& name) { return prefix + to_hugging_face(name); });
    ASSERT_TRUE(tensors.contains(prefix + "resnet.encoder.stages.1.layers.0.shortcut.convolution.weight"));
    ASSERT_TRUE(tensors.contains(prefix + "resnet.encoder.stages.3.layers.1.layer.1.normalization.running_var"));
    const auto notes = adopt_names(tensors, "f");
    ASSERT_FALSE(notes.empty());
    EXPECT_EQ(notes.back(), "Hugging Face's names are turned into torchvision's.");
    EXPECT_EQ(notes.size(), prefix.empty() ? 1u : 2u);
    expect_same(tensors, resnet18());
  }
}

/// As efficientnet_pytorch names them: blocks counted through, norms from 0.
std::string to_efficientnet_pytorch(const std::string& name) {
  static const std::map<std::string, std::string> outside = {
      {"conv_stem", "_conv_stem"}, {"bn1", "_bn0"}, {"conv_head", "_conv_head"}, {"bn2", "_bn1"}, {"classifier", "_fc"}};
  static const std::map<std::string, std::string> separable = {{"conv_dw", "_depthwise_conv"}, {"bn1", "_bn1"}, {"conv_pw", "_project_conv"}, {"bn2", "_bn2"}};
  static const std::map<std::string, std::string> expanding = {{"conv_pw", "_expand_conv"},   {"bn1", "_bn0"}, {"conv_dw", "_depthwise_conv"}, {"bn2", "_bn1"},
                                                               {"conv_pwl", "_project_conv"}, {"bn3", "_bn2"}};
  static constexpr int first[] = {0, 1, 3, 5, 8, 11, 15};
  std::smatch m;
  if (!std::regex_match(name, m, std::regex("blocks\\.(\\d)\\.(\\d)\\.(\\w+)\\.(\\w+)"))) {
    const auto dot = name.find('.');
    return outside.at(name.substr(0, dot)) + name.substr(dot);
  }
  const int stage = std::stoi(m[1]);
  return "_blocks." + std::to_string(first[stage] + std::stoi(m[2])) + "." + (stage == 0 ? separable : expanding).at(m[3]) + "." + m[4].str();
}

TEST(TensorNames, EfficientNetPyTorchs) {
  Tensors tensors = renamed(lite0(), to_efficientnet_pytorch);
  ASSERT_TRUE(tensors.contains("_blocks.15._project_conv.weight"));
  EXPECT_EQ(adopt_names(tensors, "f"), (std::vector<std::string>{"The names of efficientnet_pytorch are turned into timm's."}));
  expect_same(tensors, lite0());
}

TEST(TensorNames, OtherEfficientNetsStay) {
  Tensors b0 = renamed(lite0(), to_efficientnet_pytorch);
  b0.emplace("_blocks.0._se_reduce.weight", Tensor(Shape{8, 32, 1, 1}));
  EXPECT_TRUE(adopt_names(b0, "f").empty());
  EXPECT_TRUE(b0.contains("_conv_stem.weight"));
  EXPECT_EQ(detect_architecture(b0), "");
  EXPECT_NE(explain_unknown_architecture(b0).find("efficientnet_lite0 only"), std::string::npos);
}

TEST(TensorNames, Prefixes) {
  for (const std::string prefix : {"module.", "backbone.", "resnet.", "a.b.c."}) {
    Tensors tensors = renamed(resnet18(), [&](const auto& name) { return prefix + name; });
    tensors.emplace("loss.weight", Tensor(Shape{3}));
    EXPECT_EQ(adopt_names(tensors, "f"), (std::vector<std::string>{"The prefix '" + prefix + "' is removed from the names."}));
    EXPECT_EQ(tensors.erase("loss.weight"), 1u);
    expect_same(tensors, resnet18());
  }
}

TEST(TensorNames, TwoNetworksInOneFileStay) {
  Tensors two = renamed(resnet18(), [](const auto& name) { return "student." + name; });
  for (const auto& [name, tensor] : resnet18()) two.emplace("teacher." + name, tensor);
  EXPECT_TRUE(adopt_names(two, "f").empty());
  EXPECT_TRUE(two.contains("teacher.fc.weight"));
}

TEST(TensorNames, ClassifierInASequential) {
  Tensors tensors = renamed(resnet18(), [](const auto& name) { return name.starts_with("fc.") ? "fc.1." + name.substr(3) : name; });
  EXPECT_EQ(adopt_names(tensors, "f"), (std::vector<std::string>{"The linear layer 'fc.1' is taken for the classifier 'fc'."}));
  expect_same(tensors, resnet18());

  Tensors two_layers = renamed(resnet18(), [](const auto& name) { return name.starts_with("fc.") ? "fc.3." + name.substr(3) : name; });
  two_layers.emplace("fc.0.weight", Tensor(Shape{512, 512}));
  EXPECT_TRUE(adopt_names(two_layers, "f").empty()) << "a hidden layer cannot be left out";
}

TEST(TensorNames, TwoTensorsForOneName) {
  Tensors tensors = renamed(resnet18(), [](const auto& name) { return "module." + name; });
  tensors.emplace("fc.weight", Tensor(Shape{10, 512}));
  expect_error(ErrorCode::bad_file, "f: two of its tensors are 'fc.weight'", [&] { adopt_names(tensors, "f"); });
}

TEST(TensorNames, NothingToNothing) {
  Tensors none;
  EXPECT_TRUE(adopt_names(none, "f").empty());
  Tensors odd = {{"", Tensor(Shape{1})}, {"resnet.encoder.stages.99999999999.layers.0.x", Tensor(Shape{1})}, {"_blocks.-1.x", Tensor(Shape{1})}};
  EXPECT_TRUE(adopt_names(odd, "f").empty());
  EXPECT_EQ(odd.size(), 3u);
}

}  // namespace
}  // namespace limpid::testing
