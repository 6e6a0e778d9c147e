// The models that come with limpid, and what it makes of other people's files.
#include <limpid/runtime/error.h>
#include <limpid/weights/architecture.h>
#include <limpid/weights/catalogue.h>
#include <limpid/weights/models.h>
#include <limpid/weights/safetensors.h>

#include <gtest/gtest.h>
#include <tests/support/environment.h>
#include <tests/support/paths.h>
#include <tests/weights/expect_error.h>
#include <tests/weights/files.h>

#include <array>
#include <cstdlib>

namespace limpid::testing {
namespace {

TEST(Models, BundledAreThere) {
  ASSERT_EQ(bundled_models().size(), 2u);
  EXPECT_EQ(bundled_models()[0].name, "efficientnet_lite0");  // the default
  EXPECT_EQ(bundled_models()[1].name, "resnet18_imagenette");
  for (const auto& model : bundled_models()) {
    const auto path = find_bundled_model(model.name);
    EXPECT_EQ(path.filename(), model.file);
    EXPECT_EQ(std::filesystem::file_size(path), model.bytes);
    EXPECT_FALSE(model.description.empty());
  }
}

TEST(Models, EfficientNet) {
  const auto model = open_model("efficientnet_lite0");
  EXPECT_EQ(model.name, "efficientnet_lite0");
  EXPECT_EQ(model.architecture, "efficientnet_lite0");
  EXPECT_EQ(detect_architecture(model.tensors), "efficientnet_lite0");
  ASSERT_EQ(model.labels.size(), 1000u);
  EXPECT_EQ(model.labels[566], "French horn");
  ASSERT_TRUE(model.preprocessing);
  EXPECT_EQ(model.preprocessing->interpolation, "bicubic");
  EXPECT_EQ(model.preprocessing->mean[0], 127.f / 255.f);
  EXPECT_EQ(model.metadata.at("license"), "Apache-2.0");
  EXPECT_EQ(model.tensors.size(), 247u);
}

TEST(Models, ResNetOfTenClasses) {
  const auto model = open_model("resnet18_imagenette");
  EXPECT_EQ(model.name, "resnet18_imagenette");
  EXPECT_EQ(model.architecture, "resnet18");
  EXPECT_EQ(detect_architecture(model.tensors), "resnet18");
  ASSERT_EQ(model.labels.size(), 10u);
  EXPECT_EQ(model.labels[5], "French horn");
  ASSERT_TRUE(model.preprocessing);
  EXPECT_EQ(*model.preprocessing, Preprocessing());
}

TEST(Models, SharedResNetsAreRecognised) {
  LIMPID_REQUIRE_SHARED();
  for (const std::string name : {"resnet18", "resnet50"}) {
    const auto path = *shared_dir() / "weights" / (name + "_imagenet.safetensors");
    const auto model = open_model(path.string());
    EXPECT_EQ(model.name, name + "_imagenet");
    EXPECT_EQ(model.path, path);
    EXPECT_EQ(model.architecture, name);
    EXPECT_EQ(detect_architecture(model.tensors), name);
    ASSERT_EQ(model.labels.size(), 1000u);
    EXPECT_EQ(model.labels[281], "tabby");
    EXPECT_FALSE(model.preprocessing);
  }
}

TEST(Models, FileOfABundledModelHasItsName) { EXPECT_EQ(open_model(find_bundled_model("resnet18_imagenette").string()).name, "resnet18_imagenette"); }

TEST(Models, EnvironmentComesFirst) {
  TempDir dir;
  const Environment environment("LIMPID_MODELS", dir.path().string());
  EXPECT_NE(find_bundled_model("resnet18_imagenette").parent_path(), dir.path());  // not there: the search goes on
  write_safetensors(dir / "resnet18_imagenette.f16.safetensors", {{"a", Tensor({1})}});
  EXPECT_EQ(find_bundled_model("resnet18_imagenette").parent_path(), dir.path());
}

TEST(Models, UnknownNames) {
  expect_error(ErrorCode::not_found, "Did you mean 'efficientnet_lite0'?", [] { open_model("efficientnet-lite0"); });
  expect_error(ErrorCode::not_found, "Did you mean 'resnet18_imagenette'?", [] { open_model("resnet18_imagenete"); });
  expect_error(ErrorCode::not_found, "Did you mean 'wide_resnet50_2_v1', 'wide_resnet50_2_v2' or 'wide_resnet101_2_v1'?",
               [] { open_model("wide_resnet50_2_v3"); });
  expect_error(ErrorCode::not_found, "Bundled: efficientnet_lite0, resnet18_imagenette", [] { open_model("nothing"); });
  expect_error(ErrorCode::not_found, "There is no file", [] { open_model("nothing.safetensors"); });
  expect_error(ErrorCode::not_found, "There is no file", [] { open_model("no/such/place"); });
  expect_error(ErrorCode::invalid_argument, "empty", [] { open_model(""); });
  expect_error(ErrorCode::not_found, "No model is called", [] { open_model(std::string(100'000, 'x')); });
}

TEST(Models, OtherKindsOfFiles) {
  TempDir dir;
  const auto refused = [&](const std::string& name, const std::string& bytes, ErrorCode code, const std::string& words) {
    expect_error(code, words, [&] { open_model(put(dir / name, bytes).string()); });
  };
  refused("a.pth", "PK\x03\x04rest of a zip", ErrorCode::bad_file, "a.pth");
  refused("b.safetensors", "PK\x03\x04rest of a zip", ErrorCode::bad_file, "b.safetensors");
  refused("d.pt", "anything", ErrorCode::bad_file, "is no PyTorch checkpoint");
  refused("notes.txt", "This is a text file, not a model.\n", ErrorCode::bad_file, "not a safetensors file");
  refused("empty", "", ErrorCode::bad_file, "is empty");
  expect_error(ErrorCode::bad_file, "is a folder", [&] { open_model(dir.path().string()); });
}

TEST(Models, PytorchFilesByContent) {
  TempDir dir;
  const auto folder = source_dir() / "tests/data/pytorch";
  for (const auto& [name, format] : {std::pair("state_dict.zip.pth", "PyTorch zip archive"), std::pair("state_dict.legacy.pth", "PyTorch legacy stream")}) {
    for (const char* suffix : {"a.pth", "a.pt", "a.safetensors", "a"}) {
      std::filesystem::copy_file(folder / name, dir / suffix, std::filesystem::copy_options::overwrite_existing);
      EXPECT_EQ(open_model((dir / suffix).string()).format, format) << suffix;
    }
  }
  std::filesystem::copy_file(folder / "state_dict.safetensors", dir / "b.pth");
  EXPECT_EQ(open_model((dir / "b.pth").string()).format, "safetensors");
  EXPECT_FALSE(open_model((folder / "data_parallel.pth").string()).notes.empty());
}

TEST(Models, CatalogueSaysHowAFileIsPreprocessed) {
  TempDir dir;
  const auto* w = find_published("resnet50_v2");
  const auto make = [&](std::uint64_t filler) {
    const std::string n = std::to_string(filler), end = std::to_string(filler + 8);
    const std::string bytes = safetensors_bytes(
        R"({"fc.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"filler":{"dtype":"U8","shape":[)" + n + "],\"data_offsets\":[8," + end + "]}}", 8);
    put(dir / w->file, bytes);
    std::filesystem::resize_file(dir / w->file, bytes.size() + filler);  // a hole: it takes no space
  };
  make(100);
  EXPECT_FALSE(open_model((dir / w->file).string()).preprocessing) << "the name alone is not enough";
  make(w->bytes - 200);
  const auto model = open_model((dir / w->file).string());
  EXPECT_EQ(model.name, "resnet50_v2");
  ASSERT_TRUE(model.preprocessing);
  EXPECT_EQ(model.preprocessing->resize, 232);
}

TEST(Models, FolderWithABundledNameIsNotInTheWay) {
  TempDir dir;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  std::filesystem::create_directory("resnet18_imagenette");
  EXPECT_EQ(open_model("resnet18_imagenette").architecture, "resnet18");
  std::filesystem::current_path(before);
}

TEST(Models, LabelsWithoutMetadata) {
  TempDir dir;
  const auto labels_of = [&](std::int64_t classes, const std::map<std::string, std::string>& metadata = {}) {
    write_safetensors(dir / "m.safetensors", {{"fc.weight", Tensor({classes, 2})}}, metadata);
    return open_model((dir / "m.safetensors").string()).labels;
  };
  EXPECT_EQ(labels_of(3), (std::vector<std::string>{"class 0", "class 1", "class 2"}));
  EXPECT_EQ(labels_of(1000)[0], "tench");
  EXPECT_EQ(labels_of(2, {{"labels", R"(["yes", "no"])"}}), (std::vector<std::string>{"yes", "no"}));
  expect_error(ErrorCode::bad_file, "2 labels for 3 classes", [&] { labels_of(3, {{"labels", R"(["yes", "no"])"}}); });
  for (const char* lie : {"yes", "{}", "[1, 2, 3]", "[[\"a\"]]", "", "null"})
    expect_error(ErrorCode::bad_file, "not a JSON list of strings", [&] { labels_of(3, {{"labels", lie}}); });
  expect_error(ErrorCode::bad_file, "not a JSON list of strings", [&] { labels_of(3, {{"labels", std::string(1'000'000, '[')}}); });
  expect_error(ErrorCode::bad_file, "m.safetensors: the preprocessing", [&] { labels_of(3, {{"preprocessing", "{"}}); });
}

/// Tensors with a ResNet's names; only the shapes that tell the kinds apart are right.
std::map<std::string, Tensor> resnet(const std::array<int, 4>& blocks, bool bottleneck, std::int64_t width, std::int64_t groups) {
  std::map<std::string, Tensor> tensors = {{"conv1.weight", Tensor({64, 3, 7, 7})}, {"fc.weight", Tensor({10, 8})}};
  for (std::size_t layer = 0; layer < 4; ++layer) {
    for (int block = 0; block < blocks[layer]; ++block) {
      const std::string prefix = "layer" + std::to_string(layer + 1) + "." + std::to_string(block) + ".";
      tensors.emplace(prefix + "conv1.weight", Tensor({1, 1, 1, 1}));
      tensors.emplace(prefix + "conv2.weight", Tensor({width, width / groups, 1, 1}));
      if (bottleneck) tensors.emplace(prefix + "conv3.weight", Tensor({1, 1, 1, 1}));
    }
  }
  return tensors;
}

TEST(Architecture, EveryResNet) {
  EXPECT_EQ(detect_architecture(resnet({2, 2, 2, 2}, false, 64, 1)), "resnet18");
  EXPECT_EQ(detect_architecture(resnet({3, 4, 6, 3}, false, 64, 1)), "resnet34");
  EXPECT_EQ(detect_architecture(resnet({3, 4, 6, 3}, true, 64, 1)), "resnet50");
  EXPECT_EQ(detect_architecture(resnet({3, 4, 23, 3}, true, 64, 1)), "resnet101");
  EXPECT_EQ(detect_architecture(resnet({3, 8, 36, 3}, true, 64, 1)), "resnet152");
  EXPECT_EQ(detect_architecture(resnet({3, 4, 6, 3}, true, 128, 1)), "wide_resnet50_2");
  EXPECT_EQ(detect_architecture(resnet({3, 4, 23, 3}, true, 128, 1)), "wide_resnet101_2");
  EXPECT_EQ(detect_architecture(resnet({3, 4, 6, 3}, true, 128, 32)), "resnext50_32x4d");
  EXPECT_EQ(detect_architecture(resnet({3, 4, 23, 3}, true, 256, 32)), "resnext101_32x8d");
  EXPECT_EQ(detect_architecture(resnet({3, 4, 23, 3}, true, 256, 64)), "resnext101_64x4d");
}

TEST(Architecture, Unknown) {
  EXPECT_EQ(detect_architecture({}), "");
  EXPECT_EQ(detect_architecture({{"fc.weight", Tensor({1000, 5})}}), "");
  EXPECT_EQ(detect_architecture(resnet({2, 2, 2, 3}, false, 64, 1)), "");
  EXPECT_EQ(detect_architecture(resnet({2, 2, 2, 2}, false, 32, 1)), "");
  auto odd = resnet({2, 2, 2, 2}, false, 64, 1);
  odd["layer1.0.conv2.weight"] = Tensor({64, 0, 3, 3});
  EXPECT_EQ(detect_architecture(odd), "");
  odd["layer1.0.conv2.weight"] = Tensor({64});
  EXPECT_EQ(detect_architecture(odd), "");
}

TEST(Architecture, WhatItIsInstead) {
  EXPECT_EQ(explain_unknown_architecture(resnet({2, 2, 2, 2}, false, 64, 1)), "");
  EXPECT_EQ(explain_unknown_architecture({{"x", Tensor({1})}}), "");
  EXPECT_EQ(explain_unknown_architecture(resnet({2, 2, 2, 3}, false, 64, 1)),
            "a ResNet of 2, 2, 2 and 3 basic blocks, 64 wide in one group, which is none that limpid builds");
  EXPECT_EQ(explain_unknown_architecture(resnet({3, 4, 6, 3}, true, 128, 4)),
            "a ResNet of 3, 4, 6 and 3 bottleneck blocks, 128 wide in 4 groups, which is none that limpid builds");
  auto deep_stem = resnet({3, 4, 6, 3}, true, 64, 1);
  deep_stem["conv1.0.weight"] = Tensor({32, 3, 3, 3});
  EXPECT_EQ(detect_architecture(deep_stem), "");
  EXPECT_NE(explain_unknown_architecture(deep_stem).find("timm's resnet50d"), std::string::npos);
  auto squeezed = resnet({3, 4, 6, 3}, true, 64, 1);
  squeezed["layer1.0.se.fc1.weight"] = Tensor({1, 1, 1, 1});
  EXPECT_NE(explain_unknown_architecture(squeezed).find("squeeze-and-excitation"), std::string::npos);
}

TEST(Architecture, WithoutStemOrClassifier) {
  auto body = resnet({2, 2, 2, 2}, false, 64, 1);
  body.erase("fc.weight");
  body.erase("conv1.weight");
  EXPECT_EQ(detect_architecture(body), "resnet18");
}

TEST(Architecture, MetadataHasTheWord) {
  TempDir dir;
  const auto architecture_of = [&](const std::map<std::string, std::string>& metadata) {
    write_safetensors(dir / "m.safetensors", resnet({2, 2, 2, 2}, false, 64, 1), metadata);
    return open_model((dir / "m.safetensors").string()).architecture;
  };
  EXPECT_EQ(architecture_of({}), "resnet18");
  EXPECT_EQ(architecture_of({{"arch", "b"}}), "b");
  EXPECT_EQ(architecture_of({{"architecture", "a"}, {"arch", "b"}}), "a");
  EXPECT_EQ(architecture_of({{"architecture", ""}}), "resnet18");
}

}  // namespace
}  // namespace limpid::testing
