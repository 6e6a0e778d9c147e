// EXIF orientations in both byte orders, and blocks made to lead a reader astray.
#include <limpid/nn/exif.h>
#include <limpid/nn/image.h>
#include <tests/support/images.h>
#include <tests/support/paths.h>

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace limpid {
namespace {

struct Entry { std::uint32_t tag = 0x0112, type = 3, count = 1, value = 6; };

// A TIFF block: header, then one directory. `claimed`: the number of entries that the directory says it has.
std::vector<std::byte> exif(bool big, const std::vector<Entry>& entries, std::uint32_t claimed, std::uint32_t directory = 8) {
  std::vector<std::byte> block;
  const auto put = [&](std::uint32_t value, int size) {
    for (int i = 0; i < size; ++i) block.push_back(std::byte(value >> 8 * (big ? size - 1 - i : i)));
  };
  const std::string_view order = big ? "MM" : "II";
  for (const char c : order) block.push_back(std::byte(c));
  put(42, 2), put(directory, 4), put(claimed, 2);
  for (const Entry& e : entries) {
    put(e.tag, 2), put(e.type, 2), put(e.count, 4);
    if (e.type == 3) put(e.value, 2), put(0, 2);
    else put(e.value, 4);
  }
  put(0, 4);
  return block;
}
int orientation(bool big, const Entry& entry) { return exif_orientation(exif(big, {entry}, 1)); }

TEST(Exif, ReadsEveryOrientationInBothByteOrders) {
  for (const bool big : {false, true})
    for (std::uint32_t value = 1; value <= 8; ++value) {
      EXPECT_EQ(orientation(big, {.value = value}), static_cast<int>(value));
      EXPECT_EQ(orientation(big, {.type = 4, .value = value}), static_cast<int>(value));
      EXPECT_EQ(exif_orientation(exif(big, {{0x010f, 2, 4, 0}, {0x0110, 3, 1, 3}, {.value = value}}, 3)), static_cast<int>(value));
    }
}

TEST(Exif, ReadsABlockBehindItsName) {
  auto block = exif(true, {{.value = 8}}, 1);
  const std::string name("Exif\0\0", 6);
  std::vector<std::byte> named;
  for (const char c : name) named.push_back(std::byte(c));
  named.insert(named.end(), block.begin(), block.end());
  EXPECT_EQ(exif_orientation(named), 8);
}

TEST(Exif, ValueOutOfRangeIsUpright) {
  for (const std::uint32_t value : {0u, 9u, 255u, 65535u}) EXPECT_EQ(orientation(false, {.value = value}), 1);
  EXPECT_EQ(orientation(true, {.type = 4, .value = 0xffffffffu}), 1);
}

TEST(Exif, WrongTypeOrCountIsUpright) {
  EXPECT_EQ(orientation(false, {.type = 2}), 1);
  EXPECT_EQ(orientation(false, {.type = 99}), 1);
  EXPECT_EQ(orientation(false, {.count = 0}), 1);
  EXPECT_EQ(orientation(false, {.count = 0xffffffffu}), 1);
}

TEST(Exif, DirectoryBeyondTheEndIsUpright) {
  for (const std::uint32_t offset : {15u, 40u, 0x7fffffffu, 0xfffffff8u, 0xfffffffeu, 0xffffffffu})
    for (const bool big : {false, true}) EXPECT_EQ(exif_orientation(exif(big, {{}}, 1, offset)), 1);
}

TEST(Exif, DirectoryInsideTheHeaderDoesNotLoop) { EXPECT_EQ(exif_orientation(exif(false, {{}}, 1, 0)), 1); }

TEST(Exif, MoreEntriesClaimedThanPresent) {
  EXPECT_EQ(exif_orientation(exif(false, {{.tag = 1}}, 65535)), 1);
  EXPECT_EQ(exif_orientation(exif(true, {}, 65535)), 1);
  EXPECT_EQ(exif_orientation(exif(true, {{.value = 3}}, 65535)), 3) << "what is there can still be read";
}

TEST(Exif, EveryTruncationIsUprightOrRight) {
  for (const bool big : {false, true}) {
    const auto block = exif(big, {{}}, 1);
    for (std::size_t size = 0; size <= block.size(); ++size) {
      const std::vector<std::byte> cut(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(size));  // its own storage: a read beyond it is seen
      EXPECT_EQ(exif_orientation(cut), size >= 22 ? 6 : 1) << size;
    }
  }
}

TEST(Exif, NeitherByteOrderIsUpright) {
  auto block = exif(false, {{}}, 1);
  block[0] = std::byte{'X'};
  EXPECT_EQ(exif_orientation(block), 1);
  block = exif(false, {{}}, 1);
  block[2] = std::byte{43};  // BigTIFF
  EXPECT_EQ(exif_orientation(block), 1);
}

// The chunk goes behind the header of a PNG: 8 + 25 bytes.
std::vector<std::byte> png_with_exif(const Image& image, int orientation, bool right_checksum = true) {
  auto png = encode_png(image);
  const auto block = exif(true, {{.value = static_cast<std::uint32_t>(orientation)}}, 1);
  std::vector<std::byte> body;
  for (const char c : std::string_view("eXIf")) body.push_back(std::byte(c));
  body.insert(body.end(), block.begin(), block.end());
  std::uint32_t crc = ~0u;
  for (const std::byte b : body) {
    crc ^= std::to_integer<std::uint32_t>(b);
    for (int k = 0; k < 8; ++k) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
  }
  crc = right_checksum ? ~crc : crc;
  std::vector<std::byte> chunk;
  const auto put = [&](std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) chunk.push_back(std::byte(value >> shift));
  };
  put(static_cast<std::uint32_t>(block.size()));
  chunk.insert(chunk.end(), body.begin(), body.end());
  put(crc);
  png.insert(png.begin() + 33, chunk.begin(), chunk.end());
  return png;
}

TEST(Exif, TurnsAPngAsItsChunkSays) {
  const Image image = testing::noise_image(5, 3);
  const struct { int orientation, width, height, x, y; } first_pixel[] = {  // where the stored pixel (0, 0) ends up
      {1, 5, 3, 0, 0}, {2, 5, 3, 4, 0}, {3, 5, 3, 4, 2}, {4, 5, 3, 0, 2}, {5, 3, 5, 0, 0}, {6, 3, 5, 2, 0}, {7, 3, 5, 2, 4}, {8, 3, 5, 0, 4}};
  for (const auto& want : first_pixel) {
    const Image turned = decode_image(png_with_exif(image, want.orientation), "turned.png");
    EXPECT_EQ(turned.width, want.width);
    EXPECT_EQ(turned.height, want.height);
    EXPECT_TRUE(std::equal(image.at(0, 0), image.at(0, 0) + 3, turned.at(want.x, want.y))) << want.orientation;
  }
  EXPECT_EQ(decode_image(png_with_exif(image, 6, false), "turned.png"), image) << "a damaged eXIf chunk is ignored";
}

TEST(Exif, TurnsAJpegAsPillow) {
  const auto data = testing::source_dir() / "tests/data/preprocessing";
  for (int o = 1; o <= 8; ++o) {
    const std::string name = "exif_" + std::to_string(o);
    EXPECT_LE(testing::difference(read_image(data / (name + ".jpg")), read_image(data / (name + "_jpg.expected.png"))).most, 4) << name;
  }
}

}  // namespace
}  // namespace limpid
