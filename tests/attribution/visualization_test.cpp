// Normalisation, colour maps and pictures against Captum and matplotlib (tests/data/visualization.safetensors).
#include <limpid/attribution/visualization.h>
#include <limpid/runtime/error.h>
#include <limpid/weights/safetensors.h>
#include <tests/support/images.h>
#include <tests/support/paths.h>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace limpid {
namespace {

const std::string_view signs[] = {"all", "positive", "negative", "absolute_value"};

const std::map<std::string, Tensor>& reference() {
  static const SafetensorsFile file = read_safetensors(testing::source_dir() / "tests/data/visualization.safetensors");
  return file.tensors;
}

Image original() {
  const Tensor& pixels = reference().at("original");  // [H,W,3]
  Image image(static_cast<int>(pixels.shape()[1]), static_cast<int>(pixels.shape()[0]));
  std::copy_n(pixels.data<std::uint8_t>(), image.pixels.size(), image.pixels.begin());
  return image;
}

TEST(Visualization, NormalizesAsCaptumToTheLastBit) {
  for (const auto sign : signs)
    for (const int percent : {0, 2, 5}) {
      const Tensor& want = reference().at("normalized." + std::string(sign) + "." + std::to_string(percent));
      const NormalizedAttribution got = normalize_attribution(reference().at("attribution"), sign_named(sign), percent);
      ASSERT_EQ(got.values.shape(), want.shape());
      EXPECT_FALSE(got.all_zero);
      for (std::int64_t i = 0; i < want.numel(); ++i) EXPECT_EQ(got.values.at(i), want.at(i)) << sign << " " << percent << " at " << i;
    }
}

TEST(Visualization, DrawsAsCaptum) {
  for (const std::string method : {"heat_map", "blended_heat_map", "masked_image", "alpha_scaling"})
    for (const auto sign : signs) {
      const auto found = reference().find(method + "." + std::string(sign));
      if (found == reference().end()) continue;  // masked_image and alpha_scaling have no `all`
      const Image got = visualize(original(), reference().at("attribution"), {.method = method_named(method), .sign = sign_named(sign)});
      for (std::size_t i = 0; i < got.pixels.size(); ++i)
        ASSERT_NEAR(got.pixels[i], found->second.at(static_cast<std::int64_t>(i)), method == "heat_map" || method == "masked_image" ? 0.0 : 0.501)
            << method << " " << sign << " at " << i;
    }
}

TEST(Visualization, OriginalImageIsItself) {
  EXPECT_EQ(visualize(original(), Tensor(), {.method = Method::original_image, .sign = Sign::all}), original());
}

TEST(ColorMap, TablesAreMatplotlibs) {
  int maps = 0;
  for (const auto& [key, table] : reference()) {
    if (!key.starts_with("colormap.")) continue;
    const ColorMap map = ColorMap::named(key.substr(9));
    for (std::size_t i = 0; i < 256; ++i)
      for (std::size_t c = 0; c < 3; ++c) ASSERT_EQ(map.table()[i][c], table.data<std::uint8_t>()[i * 3 + c]) << key << " " << i;
    ++maps;
  }
  EXPECT_EQ(maps, 12);
}

TEST(ColorMap, InterpolatesAList) {
  const Color list[] = {{255, 0, 0}, {255, 255, 255}, {0, 128, 0}};
  const ColorMap map = ColorMap::from_colors(list), matplotlibs = ColorMap::named("red_white_green");  // which truncates where this rounds
  for (std::size_t i = 0; i < 256; ++i)
    for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(map.table()[i][c], matplotlibs.table()[i][c], 1);
  EXPECT_EQ(map(0), list[0]);
  EXPECT_EQ(map(1), list[2]);
  EXPECT_THROW(ColorMap::from_colors(std::span(list).first(1)), Error);
}

TEST(ColorMap, ClampsWhatLiesOutside) {
  const ColorMap map = ColorMap::named("viridis");
  EXPECT_EQ(map(-3), map.table().front());
  EXPECT_EQ(map(std::nan("")), map.table().front());
  EXPECT_EQ(map(1), map.table().back());
  EXPECT_EQ(map(1e300), map.table().back());
  EXPECT_EQ(map(0.5), map.table()[128]);
  EXPECT_EQ(ColorMap()(0.5), (Color{128, 128, 128}));
}

TEST(ColorMap, UnknownNameIsAnsweredWithTheKnown) {
  try {
    ColorMap::named("virdis");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string_view(error.what()).find("Did you mean 'viridis'"), std::string_view::npos) << error.what();
  }
}

TEST(Visualization, AllZeroIsZerosAndAFlag) {
  const Tensor zeros({1, 3, 4, 5});
  for (const auto sign : signs) {
    const auto got = normalize_attribution(zeros, sign_named(sign));
    EXPECT_TRUE(got.all_zero);
    for (const float value : got.values.span<float>()) EXPECT_EQ(value, 0.0f);
  }
  bool all_zero = false;
  const Image picture = visualize(Image(5, 4, 9), zeros, {.method = Method::heat_map, .sign = Sign::all}, &all_zero);
  EXPECT_TRUE(all_zero);
  const Color middle = ColorMap::named("red_white_green")(0.5);
  EXPECT_TRUE(std::equal(middle.begin(), middle.end(), picture.at(0, 0)));
}

TEST(Visualization, NothingOfTheSignAskedForIsAFlag) {
  const Tensor negative = Tensor::full({1, 2, 2}, -1);
  EXPECT_TRUE(normalize_attribution(negative, Sign::positive).all_zero);
  EXPECT_FALSE(normalize_attribution(negative, Sign::negative).all_zero);
  EXPECT_EQ(normalize_attribution(negative, Sign::negative).values.at(3), 1.0);
}

TEST(Visualization, RefusesNaNAndInfinity) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    Tensor attribution({1, 1, 3, 4});
    attribution.data<float>()[6] = bad;
    try {
      normalize_attribution(attribution, Sign::all);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ErrorCode::invalid_argument));
      EXPECT_NE(std::string_view(error.what()).find("row 1, column 2"), std::string_view::npos) << error.what();
    }
  }
}

TEST(Visualization, RefusesWhatIsNoAttribution) {
  EXPECT_THROW(normalize_attribution(Tensor(), Sign::all), Error);
  EXPECT_THROW(normalize_attribution(Tensor({4, 4}), Sign::all), Error);
  EXPECT_THROW(normalize_attribution(Tensor({2, 3, 4, 4}), Sign::all), Error);
  EXPECT_THROW(normalize_attribution(Tensor({3, 0, 4}), Sign::all), Error);
  EXPECT_THROW(normalize_attribution(Tensor({3, 4, 4}, DType::u8), Sign::all), Error);
  for (const double percent : {-1.0, 100.0, 1e9, std::nan("")}) EXPECT_THROW(normalize_attribution(Tensor({3, 4, 4}), Sign::all, percent), Error);
}

TEST(Visualization, TakesEveryFloatType) {
  const Tensor& attribution = reference().at("attribution");
  for (const DType dtype : {DType::f64, DType::f16, DType::bf16}) {
    const auto got = normalize_attribution(attribution.to(dtype), Sign::all), want = normalize_attribution(attribution, Sign::all);
    EXPECT_EQ(got.values.dtype(), DType::f32);
    for (std::int64_t i = 0; i < want.values.numel(); ++i) EXPECT_NEAR(got.values.at(i), want.values.at(i), dtype == DType::bf16 ? 0.05 : 0.01);
  }
}

TEST(Visualization, RefusesMaskedImageOfBothSigns) {
  for (const auto method : {Method::masked_image, Method::alpha_scaling})
    EXPECT_THROW(visualize(original(), reference().at("attribution"), {.method = method, .sign = Sign::all}), Error);
}

TEST(Visualization, RefusesOpacityOutsideZeroToOne) {
  for (const double alpha : {-0.1, 1.1, std::nan("")})
    EXPECT_THROW(visualize(original(), reference().at("attribution"), {.method = Method::blended_heat_map, .alpha_overlay = alpha}), Error);
}

TEST(Visualization, SmallMapIsUpsampledBilinearly) {
  const Tensor map = Tensor::from<float>({1, 1, 1, 2}, {0.0f, 1.0f});
  const Image got = visualize(Image(4, 3, 50), map, {.method = Method::heat_map, .sign = Sign::positive, .outlier_percent = 0, .color_map = ColorMap()});
  ASSERT_EQ(got.width, 4);
  ASSERT_EQ(got.height, 3);
  const int want[] = {0, 64, 192, 255};  // 0, 1/4, 3/4, 1: align_corners false
  for (int y = 0; y < 3; ++y)
    for (int x = 0; x < 4; ++x) EXPECT_EQ(got.at(x, y)[0], want[x]);
}

TEST(Visualization, BlendOfAFlatPictureIsNotDividedByZero) {
  const Image got = visualize(Image(9, 12, 77), reference().at("attribution"), {.method = Method::blended_heat_map, .alpha_overlay = 0});
  EXPECT_EQ(got, Image(9, 12, 0)) << "matplotlib draws the least value black";
}

TEST(Visualization, ColorBarStandsBelow) {
  VisualizationOptions options{.method = Method::heat_map, .sign = Sign::all};
  const Image plain = visualize(Image(120, 80), Tensor::full({1, 2, 2}, 1), options);
  options.show_colorbar = true;
  const Image barred = visualize(Image(120, 80), Tensor::full({1, 2, 2}, 1), options);
  EXPECT_EQ(barred.width, plain.width);
  EXPECT_GT(barred.height, plain.height);
  EXPECT_TRUE(std::equal(plain.pixels.begin(), plain.pixels.end(), barred.pixels.begin()));
  EXPECT_EQ(color_bar(options).low, "−1");
  EXPECT_EQ(color_bar({.sign = Sign::positive}).low, "0");
}

TEST(Visualization, KnowsItsNames) {
  for (const auto name : signs) EXPECT_NO_THROW(sign_named(name));
  EXPECT_EQ(method_named("alpha_scaling"), Method::alpha_scaling);
  EXPECT_THROW(sign_named("both"), Error);
  EXPECT_THROW(method_named("heatmap"), Error);
}

}  // namespace
}  // namespace limpid
