#pragma once
// Pictures: 8-bit RGB in memory, read from JPEG, PNG and BMP files, written as PNG.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace limpid {

struct Image {
  int width = 0, height = 0;
  std::vector<std::uint8_t> pixels;  // RGB, row-major: height * width * 3 bytes

  Image() = default;
  /// A picture of one grey level. Throws invalid_argument for a negative extent.
  Image(int width, int height, std::uint8_t level = 0);

  std::uint8_t* at(int x, int y) { return pixels.data() + (static_cast<std::size_t>(y) * width + x) * 3; }
  const std::uint8_t* at(int x, int y) const { return pixels.data() + (static_cast<std::size_t>(y) * width + x) * 3; }
  bool operator==(const Image&) const = default;
};

/// Throws invalid_argument, naming `who`, unless the picture has pixels and as many as its extents say.
void require_picture(const Image& image, std::string_view who);

/// Reads a JPEG (baseline or progressive), PNG or BMP file as 8-bit RGB, the way that Pillow's
/// `ImageOps.exif_transpose(Image.open(path)).convert("RGB")` does: grey is repeated, alpha dropped, palettes looked up,
/// 16-bit samples keep their upper byte, and the EXIF orientation (JPEG APP1, PNG eXIf) is applied. PNG and BMP pixels equal
/// Pillow's; JPEG pixels differ by a few levels, for stb and libjpeg-turbo round differently.
/// Throws not_found when there is no such file; io when it cannot be read; bad_file when it is a folder, empty, not a picture, damaged, cut short
/// or of a rare kind (lossless, arithmetic or 12-bit JPEG, RLE BMP); unsupported above 100 megapixels or 1 GiB, and for CMYK JPEGs without Adobe's marker.
Image read_image(const std::filesystem::path& path);

/// The same from bytes in memory; `name` stands for the file in messages.
Image decode_image(std::span<const std::byte> bytes, std::string_view name);

/// Writes an 8-bit RGB PNG under a temporary name and renames it, so that a reader never sees half a file.
/// Throws invalid_argument for an empty picture; io when the system refuses.
void write_png(const std::filesystem::path& path, const Image& image);

/// The bytes of that PNG.
std::vector<std::byte> encode_png(const Image& image);

}  // namespace limpid
