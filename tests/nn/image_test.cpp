// Decoding against Pillow (tests/data/preprocessing), files that are not what they seem, and PNG writing.
#include <limpid/nn/image.h>
#include <limpid/runtime/error.h>
#include <tests/support/images.h>
#include <tests/support/paths.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <functional>

namespace limpid {
namespace {

using Bytes = std::vector<std::byte>;
const std::filesystem::path data = testing::source_dir() / "tests/data/preprocessing";

Bytes file_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_FALSE(text.empty()) << path;
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

void write(const std::filesystem::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

void expect_error(ErrorCode code, std::string_view part, const std::function<void()>& call) {
  try {
    call();
    ADD_FAILURE() << "no error; expected one with '" << part << "'";
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos) << error.what();
  }
}

// A BMP of 2 x 2 grey pixels, 24 bits each, rows padded to 8 bytes.
Bytes small_bmp() {
  Bytes bmp(54 + 16, std::byte{0x40});
  const unsigned char header[54] = {'B', 'M', 70, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 24};
  std::transform(std::begin(header), std::end(header), bmp.begin(), [](unsigned char c) { return std::byte{c}; });
  return bmp;
}

TEST(Image, DecodesAsPillow) {
  const auto manifest = nlohmann::json::parse(std::ifstream(data / "manifest.json"));
  int cases = 0;
  for (const auto& entry : manifest.at("cases")) {
    if (entry.contains("resize")) continue;  // those are preprocess_test's
    const std::string file = entry.at("file");
    SCOPED_TRACE(file);
    const auto path = file.starts_with("images/") ? testing::source_dir() / file : data / file;
    const auto d = testing::difference(read_image(path), read_image(data / entry.at("expected").get<std::string>()));
    // stb and libjpeg-turbo round differently: measured 3 levels at most (9 where chroma is halved in one direction only), 0.13 on average.
    EXPECT_LE(d.most, entry.at("exact") ? 0 : 4);
    EXPECT_LE(d.mean, entry.at("exact") ? 0 : 0.25);
    ++cases;
  }
  EXPECT_GE(cases, 20);
}

TEST(Image, ReadsBmp) {
  const Image image = decode_image(small_bmp(), "small.bmp");
  EXPECT_EQ(image, Image(2, 2, 0x40));
}

TEST(Image, RefusesAFileThatIsNotThere) {
  expect_error(ErrorCode::not_found, "/nowhere/cat.jpg does not exist", [] { read_image("/nowhere/cat.jpg"); });
}

TEST(Image, RefusesAFolder) {
  const auto dir = testing::temp_dir();
  expect_error(ErrorCode::bad_file, "is a folder", [&] { read_image(dir.path()); });
}

TEST(Image, RefusesAnEmptyFile) {
  const auto dir = testing::temp_dir();
  write(dir / "empty.png", "");
  expect_error(ErrorCode::bad_file, "empty.png is empty", [&] { read_image(dir / "empty.png"); });
}

TEST(Image, RefusesATextNamedJpg) {
  const auto dir = testing::temp_dir();
  write(dir / "cat.jpg", "This is not a cat.\n");
  expect_error(ErrorCode::bad_file, "cat.jpg is not a picture that limpid reads (JPEG, PNG or BMP)", [&] { read_image(dir / "cat.jpg"); });
}

TEST(Image, RefusesAGifWhateverItsName) {
  expect_error(ErrorCode::bad_file, "is not a picture that limpid reads", [] {
    const std::string_view gif = "GIF89a\1\0\1\0\0\0\0;";
    decode_image(std::as_bytes(std::span(gif)), "moving.png");
  });
}

// Every prefix: a file that was not copied to its end must never pass for a picture.
TEST(Image, RefusesEveryTruncation) {
  for (const char* name : {"baseline_420.jpg", "progressive.jpg", "grey.jpg", "rgb.png", "interlaced.png", "rgb16.png", "rgb.bmp", "palette.bmp"}) {
    const Bytes whole = file_bytes(data / name);
    ASSERT_NO_THROW(decode_image(whole, name)) << name;
    for (std::size_t size = 0; size < whole.size(); ++size) {
      try {
        decode_image(std::span(whole).first(size), name);
        ADD_FAILURE() << name << " cut to " << size << " of " << whole.size() << " bytes was read";
        break;
      } catch (const Error& error) {
        EXPECT_NE(std::string_view(error.what()).find(name), std::string_view::npos) << error.what();
      }
    }
  }
}

// Bytes changed at random: an error or a picture, never a crash, whatever the sanitizers watch for.
TEST(Image, SurvivesChangedBytes) {
  std::mt19937 random(7);
  for (const char* name : {"baseline_420.jpg", "progressive.jpg", "exif_6.jpg", "cmyk.jpg",
                           "rgb.png", "palette.png", "interlaced.png", "rgb.bmp", "palette.bmp"}) {
    const Bytes whole = file_bytes(data / name);
    for (int round = 0; round < 400; ++round) {
      Bytes changed = whole;
      for (unsigned n = random() % 4 + 1; n > 0; --n) changed[random() % std::min<std::size_t>(changed.size(), n % 2 ? 700 : 60)] = std::byte(random());
      try {
        const Image image = decode_image(changed, name);
        EXPECT_EQ(image.pixels.size(), static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3);
      } catch (const Error&) {
      }
    }
  }
}

TEST(Image, RefusesAPngWithAFlippedBit) {
  Bytes png = encode_png(testing::noise_image(9, 7));
  png[png.size() / 2] ^= std::byte{1};
  expect_error(ErrorCode::bad_file, "checksum", [&] { decode_image(png, "flipped.png"); });
}

TEST(Image, RefusesAPngWithAnUnknownCriticalChunk) {
  Bytes png = encode_png(testing::noise_image(9, 7));
  const char chunk[12] = {0, 0, 0, 0, 'X', '\x1b', '[', 'H', 0, 0, 0, 0};  // its name would write to the terminal
  png.insert(png.begin() + 33, reinterpret_cast<const std::byte*>(chunk), reinterpret_cast<const std::byte*>(chunk) + 12);
  expect_error(ErrorCode::bad_file, "a chunk of an unknown kind", [&] { decode_image(png, "unknown.png"); });
}

TEST(Image, RefusesABmpThatClaimsMorePixelsThanItHolds) {
  Bytes bmp = small_bmp();
  bmp[22] = std::byte{3};  // a row more
  expect_error(ErrorCode::bad_file, "cut short", [&] { decode_image(bmp, "short.bmp"); });
}

TEST(Image, RefusesABmpOfTheLeastHeight) {
  Bytes bmp = small_bmp();
  bmp[22] = bmp[23] = bmp[24] = std::byte{0};
  bmp[25] = std::byte{0x80};  // -2^31 rows: its magnitude is no int
  expect_error(ErrorCode::bad_file, "impossible size", [&] { decode_image(bmp, "least.bmp"); });
}

TEST(Image, RefusesAPictureOfGigapixelsBeforeDecoding) {
  Bytes jpeg = file_bytes(data / "baseline_444.jpg");
  for (std::size_t i = 0; i + 9 < jpeg.size(); ++i)
    if (jpeg[i] == std::byte{0xff} && jpeg[i + 1] == std::byte{0xc0}) std::fill_n(jpeg.begin() + static_cast<std::ptrdiff_t>(i) + 5, 4, std::byte{0xff});
  expect_error(ErrorCode::unsupported, "100 megapixels", [&] { decode_image(jpeg, "huge.jpg"); });
}

// Below the limit, but no file of a kilobyte holds 64 megapixels: memory is not taken on the header's word.
TEST(Image, RefusesAPictureThatItsBytesCannotHold) {
  Bytes jpeg = file_bytes(data / "baseline_444.jpg");
  for (std::size_t i = 0; i + 9 < jpeg.size(); ++i)
    if (jpeg[i] == std::byte{0xff} && jpeg[i + 1] == std::byte{0xc0}) jpeg[i + 5] = jpeg[i + 7] = std::byte{0x1f};
  expect_error(ErrorCode::bad_file, "cannot hold", [&] { decode_image(jpeg, "bomb.jpg"); });

  Bytes png = encode_png(testing::noise_image(9, 7));
  const unsigned char header[17] = {0x00, 0x00, 0x1f, 0x40, 0x00, 0x00, 0x1f, 0x40, 0x08, 0x02, 0x00, 0x00, 0x00, 0x89, 0x93, 0x3a, 0xa3};  // 8000 x 8000, and the checksum
  std::transform(std::begin(header), std::end(header), png.begin() + 16, [](unsigned char c) { return std::byte{c}; });
  expect_error(ErrorCode::bad_file, "cannot hold 8000 x 8000 pixels", [&] { decode_image(png, "bomb.png"); });
}

TEST(Image, ReadsALargePictureOfOneColour) {  // as dense as a PNG gets
  const Image grey(3000, 2000, 128);
  const auto png = encode_png(grey);
  EXPECT_LT(png.size(), grey.pixels.size() / 100);
  EXPECT_EQ(decode_image(png, "grey.png"), grey);
}

// stb 2.27 writes beyond a table of 256 when the counts of a DHT segment add up to more.
TEST(Image, RefusesAJpegWhoseHuffmanTableOverflows) {
  Bytes jpeg = file_bytes(data / "baseline_444.jpg");
  for (std::size_t i = 0; i + 21 < jpeg.size(); ++i)
    if (jpeg[i] == std::byte{0xff} && jpeg[i + 1] == std::byte{0xc4}) std::fill_n(jpeg.begin() + static_cast<std::ptrdiff_t>(i) + 5, 16, std::byte{0xff});
  expect_error(ErrorCode::bad_file, "Huffman table", [&] { decode_image(jpeg, "overflow.jpg"); });
}

// Found by fuzzing: a scan names a Huffman table that no segment defined. stb 2.27 took what an earlier picture had left in that memory for one, and
// indexed beyond its symbols.
TEST(Image, AJpegThatUsesAnUndefinedHuffmanTableIsAlwaysDecodedTheSame) {
  const Bytes damaged = file_bytes(testing::source_dir() / "tests/fuzz/corpus/image/undefined_huffman_table.jpg");
  const auto outcome = [&] {
    try {
      const Image image = decode_image(damaged, "undefined.jpg");
      return std::string(reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size());
    } catch (const Error& e) { return std::string(e.what()); }
  };
  const std::string expected = outcome();
  for (const char* before : {"progressive.jpg", "baseline_420.jpg", "grey.jpg", "progressive.jpg", "baseline_444.jpg", "exif_6.jpg"}) {
    decode_image(file_bytes(data / before), before);
    EXPECT_EQ(outcome(), expected) << "behind " << before;
  }
}

TEST(Image, RefusesAJpegOfARareKind) {
  Bytes jpeg = file_bytes(data / "baseline_444.jpg");
  for (std::size_t i = 0; i + 1 < jpeg.size(); ++i)
    if (jpeg[i] == std::byte{0xff} && jpeg[i + 1] == std::byte{0xc0}) jpeg[i + 1] = std::byte{0xc9};  // arithmetic coding
  expect_error(ErrorCode::bad_file, "arithmetic", [&] { decode_image(jpeg, "rare.jpg"); });
}

TEST(Image, RefusesACmykJpegWithoutAdobesMarker) {
  Bytes jpeg = file_bytes(data / "cmyk.jpg");
  const std::string_view adobe = "Adobe";
  auto at = std::search(jpeg.begin(), jpeg.end(), adobe.begin(), adobe.end(), [](std::byte b, char c) { return std::to_integer<char>(b) == c; });
  ASSERT_NE(at, jpeg.end());
  *at = std::byte{'a'};
  expect_error(ErrorCode::unsupported, "Adobe", [&] { decode_image(jpeg, "cmyk.jpg"); });
}

TEST(Image, ReadsACmykJpegAsPillow) {
  EXPECT_LE(testing::difference(read_image(data / "cmyk.jpg"), read_image(data / "cmyk_jpg.expected.png")).most, 4);
}

TEST(Image, WritesAPngThatReadsBackTheSame) {
  const auto dir = testing::temp_dir();
  for (const auto& image : {testing::noise_image(37, 5), Image(300, 200, 255), Image(1, 1)}) {
    write_png(dir / "out.png", image);
    EXPECT_EQ(read_image(dir / "out.png"), image);
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1) << "a temporary file was left behind";
}

TEST(Image, RefusesToWriteWhatIsNoPicture) {
  const auto dir = testing::temp_dir();
  expect_error(ErrorCode::invalid_argument, "empty", [&] { write_png(dir / "out.png", Image()); });
  Image torn(4, 4);
  torn.pixels.pop_back();
  expect_error(ErrorCode::invalid_argument, "48 bytes, not 47", [&] { write_png(dir / "out.png", torn); });
  EXPECT_FALSE(std::filesystem::exists(dir / "out.png"));
}

TEST(Image, SaysWhereItCouldNotWrite) {
  expect_error(ErrorCode::io, "/nowhere/out.png", [] { write_png("/nowhere/out.png", Image(1, 1)); });
}

TEST(Image, RefusesNegativeExtents) { EXPECT_THROW(Image(-1, 2), Error); }

}  // namespace
}  // namespace limpid
