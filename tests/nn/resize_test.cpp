// Shapes, offsets and pass order of resizing and cropping; pixels against Pillow are in preprocess_test.cpp.
#include <limpid/nn/resize.h>
#include <limpid/runtime/error.h>
#include <tests/support/images.h>

#include <gtest/gtest.h>

namespace limpid {
namespace {

using testing::noise_image;

TEST(Resize, KeepsAConstantPicture) {
  for (const auto filter : {Resampling::nearest, Resampling::bilinear, Resampling::bicubic})
    for (const bool antialias : {true, false})
      for (const int level : {0, 1, 127, 254, 255})
        EXPECT_EQ(resize(Image(31, 17, static_cast<std::uint8_t>(level)), 12, 40, filter, antialias), Image(12, 40, static_cast<std::uint8_t>(level)));
}

TEST(Resize, SameSizeIsTheSamePicture) {
  const Image image = noise_image(9, 8);
  EXPECT_EQ(resize(image, 9, 8, Resampling::bicubic), image);
}

TEST(Resize, RunsTheCheaperPassFirst) {
  const Image wide = noise_image(60, 40), tall = noise_image(20, 90);
  const auto to = [](const Image& image, int width, int height) { return resize(image, width, height, Resampling::bicubic); };
  EXPECT_EQ(to(wide, 30, 20), to(to(wide, 30, 40), 30, 20));
  EXPECT_EQ(to(tall, 10, 45), to(to(tall, 20, 45), 10, 45)) << "45 rows go, 10 columns go: rows first";
  EXPECT_NE(to(tall, 10, 45), to(to(tall, 10, 90), 10, 45)) << "this picture should tell the two orders apart";
}

TEST(Resize, MirroredPictureGivesMirroredResult) {
  const auto mirrored = [](const Image& image) {
    Image out(image.width, image.height);
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width; ++x) std::copy_n(image.at(x, y), 3, out.at(image.width - 1 - x, y));
    return out;
  };
  const Image image = noise_image(64, 5);
  EXPECT_LE(testing::difference(resize(mirrored(image), 16, 5, Resampling::bilinear), mirrored(resize(image, 16, 5, Resampling::bilinear))).most, 1);
}

TEST(Resize, WithoutAntialiasLooksAtTheNeighboursOnly) {
  Image image(8, 1);
  image.at(0, 0)[0] = 200;  // four pixels become one: their middle lies between the second and the third
  EXPECT_EQ(resize(image, 2, 1, Resampling::bilinear, false).at(0, 0)[0], 0);
  EXPECT_GT(resize(image, 2, 1, Resampling::bilinear, true).at(0, 0)[0], 0);
}

TEST(Resize, ShorterSideRoundsTheLongerDown) {
  const auto size = [](int w, int h, int to) {
    const Image out = resize_shorter_side(Image(w, h), to, Resampling::bilinear);
    return std::pair(out.width, out.height);
  };
  EXPECT_EQ(size(640, 426, 256), std::pair(384, 256));  // 384.6
  EXPECT_EQ(size(750, 1125, 256), std::pair(256, 384));
  EXPECT_EQ(size(3, 2, 5), std::pair(7, 5));  // 7.5
  EXPECT_EQ(size(1, 1, 8), std::pair(8, 8));
  EXPECT_EQ(size(256, 300, 256), std::pair(256, 300));
}

// The pixel at the top left of the crop, in a picture whose red is its column and green its row.
std::pair<int, int> corner(int width, int height, int crop) {
  Image image(width, height, 7);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) image.at(x, y)[0] = static_cast<std::uint8_t>(x), image.at(x, y)[1] = static_cast<std::uint8_t>(y);
  const Image out = center_crop(image, crop, crop);
  return {out.at(0, 0)[0], out.at(0, 0)[1]};
}

TEST(CenterCrop, HalvesRoundToEven) {
  EXPECT_EQ(corner(11, 13, 10), std::pair(0, 2));  // 0.5 and 1.5
  EXPECT_EQ(corner(15, 17, 10), std::pair(2, 4));  // 2.5 and 3.5
  EXPECT_EQ(corner(12, 14, 10), std::pair(1, 2));
}

TEST(CenterCrop, SmallerPictureIsPaddedWithBlack) {
  const Image out = center_crop(Image(3, 4, 200), 6, 4);  // 1 column left, 2 right
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 6; ++x) EXPECT_EQ(out.at(x, y)[2], x >= 1 && x < 4 ? 200 : 0) << x << ", " << y;
  const Image both = center_crop(Image(20, 2, 200), 5, 5);  // wider and lower than the crop
  EXPECT_EQ(both.at(0, 0)[0], 0);
  EXPECT_EQ(both.at(0, 1)[0], 200);
  EXPECT_EQ(both.at(4, 2)[0], 200);
  EXPECT_EQ(both.at(4, 3)[0], 0);
}

TEST(Resize, RefusesExtentsThatCannotBe) {
  const Image image = noise_image(4, 4);
  for (const int bad : {0, -1, 65536}) {
    EXPECT_THROW(resize(image, bad, 4, Resampling::bilinear), Error);
    EXPECT_THROW(resize(image, 4, bad, Resampling::nearest), Error);
    EXPECT_THROW(center_crop(image, bad, 4), Error);
    EXPECT_THROW(resize_shorter_side(image, bad, Resampling::bilinear), Error);
  }
  EXPECT_THROW(resize(image, 65535, 65535, Resampling::bicubic), Error);
  EXPECT_THROW(resize(Image(), 4, 4, Resampling::bilinear), Error);
  EXPECT_THROW(center_crop(Image(), 4, 4), Error);
  EXPECT_THROW(resize_shorter_side(Image(3000, 1), 256, Resampling::bilinear), Error) << "768,000 pixels long";
}

TEST(Resize, NamesItsFilters) {
  EXPECT_EQ(resampling_named("nearest"), Resampling::nearest);
  EXPECT_EQ(resampling_named("bilinear"), Resampling::bilinear);
  EXPECT_EQ(resampling_named("bicubic"), Resampling::bicubic);
  EXPECT_THROW(resampling_named("lanczos"), Error);
}

}  // namespace
}  // namespace limpid
