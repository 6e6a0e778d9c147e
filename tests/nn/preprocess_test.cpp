// Resizing, cropping and normalising against Pillow and torchvision (tests/data/preprocessing).
#include <limpid/nn/preprocess.h>
#include <limpid/nn/resize.h>
#include <tests/support/images.h>
#include <tests/support/paths.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>

namespace limpid {
namespace {

const std::filesystem::path data = testing::source_dir() / "tests/data/preprocessing";

TEST(Preprocess, CropsAsPillowAndTorchvision) {
  const auto manifest = nlohmann::json::parse(std::ifstream(data / "manifest.json"));
  int cases = 0, exact_cases = 0;
  for (const auto& entry : manifest.at("cases")) {
    if (!entry.contains("resize")) continue;
    const std::string file = entry.at("file"), expected = entry.at("expected");
    SCOPED_TRACE(expected);
    const Image image = read_image(file.starts_with("images/") ? testing::source_dir() / file : data / file);
    const Image resized = resize_shorter_side(image, entry.at("resize"), resampling_named(entry.at("interpolation").get<std::string>()));
    const auto d = testing::difference(center_crop(resized, entry.at("crop").at(1), entry.at("crop").at(0)), read_image(data / expected));
    const bool exact = entry.at("exact");  // JPEG: the decoders differ, as image_test.cpp states
    EXPECT_LE(d.most, exact ? 0 : 4);
    EXPECT_LE(d.mean, exact ? 0 : 0.25);
    ++cases;
    exact_cases += exact;
  }
  EXPECT_GE(cases, 40);
  EXPECT_GE(exact_cases, 20);
}

// Equal pixels give equal bits: each of the 256 levels against the definition, evaluated one operation at a time in f32.
TEST(Preprocess, NormalisesEveryLevelInTorchvisionsOrder) {
  Image image(16, 16);
  for (int i = 0; i < 256; ++i) std::fill_n(image.pixels.begin() + 3 * i, 3, static_cast<std::uint8_t>(i));
  Preprocessing p;
  p.resize = p.crop = 16;
  const Tensor out = preprocess(image, p);
  ASSERT_EQ(out.shape(), Shape({1, 3, 16, 16}));
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t i = 0; i < 256; ++i) {
      volatile float x = static_cast<float>(i) / 255.0f;
      x = x - p.mean[c];
      x = x / p.std[c];
      EXPECT_EQ(out.data<float>()[c * 256 + i], x) << "channel " << c << ", level " << i;
    }
  // Three of the values that torchvision 0.29 gives for this picture; all 768 were compared when this was written.
  EXPECT_EQ(out.data<float>()[128], 0x1.2f5e64p-4f);
  EXPECT_EQ(out.data<float>()[256 + 77], -0x1.6016fp-1f);
  EXPECT_EQ(out.data<float>()[2 * 256 + 255], 0x1.51eb86p+1f);
}

TEST(Preprocess, CroppedIsWhatTheTensorShows) {
  const Image image = testing::noise_image(50, 33);
  Preprocessing p;
  p.resize = 30, p.crop = 24, p.interpolation = "bicubic";
  const Image seen = cropped(image, p);
  EXPECT_EQ(seen.width, 24);
  EXPECT_EQ(seen.height, 24);
  const Tensor out = preprocess(image, p);
  for (int c = 0; c < 3; ++c) {
    const double back = out.at(c * 24 * 24 + 5 * 24 + 7) * static_cast<double>(p.std[c]) + static_cast<double>(p.mean[c]);
    EXPECT_NEAR(back * 255, seen.at(7, 5)[c], 1e-4);
  }
}

TEST(Preprocess, RefusesWhatCannotBe) {
  const Image image = testing::noise_image(8, 8);
  const auto with = [](auto change) {
    Preprocessing p;
    p.resize = p.crop = 8;
    change(p);
    return p;
  };
  EXPECT_THROW(preprocess(image, with([](auto& p) { p.interpolation = "lanczos"; })), Error);
  EXPECT_THROW(preprocess(image, with([](auto& p) { p.std[1] = 0; })), Error);
  EXPECT_THROW(preprocess(image, with([](auto& p) { p.resize = 0; })), Error);
  EXPECT_THROW(preprocess(image, with([](auto& p) { p.crop = -3; })), Error);
  EXPECT_THROW(preprocess(Image(), with([](auto&) {})), Error);
}

}  // namespace
}  // namespace limpid
