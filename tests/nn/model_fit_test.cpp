// Whether a file's tensors are those of an architecture, and what is said when they are not.
#include <limpid/nn/model.h>
#include <limpid/weights/safetensors.h>

#include <gtest/gtest.h>
#include <tests/support/paths.h>
#include <tests/weights/expect_error.h>

namespace limpid::testing {
namespace {

class Fit : public ::testing::Test {
 protected:
  std::string save() {
    write_safetensors(dir / "m.safetensors", file.tensors, file.metadata);
    return (dir / "m.safetensors").string();
  }
  TempDir dir;
  ModelFile file = open_model("resnet18_imagenette");
};

TEST_F(Fit, BundledModelsFit) {
  for (const auto& m : bundled_models()) EXPECT_TRUE(compare(open_model(m.name), m.name == "efficientnet_lite0" ? m.name : "resnet18").empty()) << m.name;
  EXPECT_EQ(Mismatch().to_string(), "");
}

TEST_F(Fit, EveryKindOfMismatchIsNamed) {
  file.tensors.erase("layer2.0.bn1.weight");
  file.tensors["conv1.weight"] = Tensor(Shape{64, 3, 3, 3});
  file.tensors["bn1.bias"] = Tensor(Shape{64}, DType::i64);
  file.tensors["layer1.0.conv1.bias"] = Tensor(Shape{64});
  file.tensors["bn1.num_batches_tracked"] = Tensor(Shape{}, DType::i64);
  const Mismatch m = compare(file, "resnet18");
  EXPECT_EQ(m.missing, (std::vector<std::string>{"'layer2.0.bn1.weight' [128]"}));
  EXPECT_EQ(m.misshaped, (std::vector<std::string>{"'conv1.weight' [64, 3, 3, 3] instead of [64, 3, 7, 7]", "'bn1.bias' of integers instead of floats"}));
  EXPECT_EQ(m.unexpected, (std::vector<std::string>{"'layer1.0.conv1.bias' [64]"}));
  const std::string path = save();
  expect_error(ErrorCode::bad_file,
               "does not fit resnet18: of its tensors 1 is missing ('layer2.0.bn1.weight' [128]); 2 are misshaped ('conv1.weight' [64, 3, 3, 3] instead of "
               "[64, 3, 7, 7], "
               "'bn1.bias' of integers instead of floats); 1 is unexpected ('layer1.0.conv1.bias' [64]).",
               [&] { Model::load(path); });
}

TEST_F(Fit, ManyAreCounted) {
  const Mismatch m = compare(file, "resnet34");
  EXPECT_EQ(m.missing.size(), 80u);  // eight more blocks of two convolutions and two norms
  EXPECT_TRUE(m.misshaped.empty() && m.unexpected.empty());
  EXPECT_TRUE(m.to_string().starts_with("80 are missing (")) << m.to_string();
  EXPECT_TRUE(m.to_string().ends_with(", ...)")) << m.to_string();
  expect_error(ErrorCode::bad_file, "does not fit resnet34", [&] { Model::load(save(), "resnet34"); });
}

TEST_F(Fit, BodyWithoutAClassifier) {
  file.tensors.erase("fc.weight");
  file.tensors.erase("fc.bias");
  file.metadata.clear();
  expect_error(ErrorCode::bad_file, "2 are missing ('fc.weight' [1000, 512], 'fc.bias' [1000])", [&] { Model::load(save()); });
}

TEST_F(Fit, NoClasses) {
  file.tensors["fc.weight"] = Tensor(Shape{0, 512});
  file.tensors["fc.bias"] = Tensor(Shape{0});
  file.metadata.clear();
  expect_error(ErrorCode::bad_file, "2 are misshaped", [&] { Model::load(save()); });
}

TEST_F(Fit, RelativesAreNamed) {
  file.tensors.erase("layer3.1.conv1.weight");
  file.metadata.clear();
  expect_error(ErrorCode::unsupported, "is a ResNet of 2, 2, 1 and 2 basic blocks", [&] { Model::load(save()); });
  file.tensors = {{"w", Tensor(Shape{1})}};
  expect_error(ErrorCode::bad_file, "Name it with --model if it is one of them", [&] { Model::load(save()); });
}

TEST_F(Fit, NotesOfTheFileAreTheModels) {
  std::map<std::string, Tensor> prefixed;
  for (const auto& [name, tensor] : file.tensors) prefixed.emplace("net." + name, tensor);
  file.tensors = prefixed;
  const auto model = Model::load(save());
  EXPECT_EQ(model->notes(), (std::vector<std::string>{"The prefix 'net.' is removed from the names."}));
  EXPECT_TRUE(Model::load("resnet18_imagenette")->notes().empty());
}

}  // namespace
}  // namespace limpid::testing
