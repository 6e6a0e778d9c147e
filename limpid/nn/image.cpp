#include <limpid/nn/exif.h>
#include <limpid/nn/image.h>
#include <limpid/nn/image_file.h>
#include <limpid/nn/stb.h>
#include <limpid/runtime/atomic_file.h>
#include <limpid/runtime/error.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

namespace limpid {
namespace {

constexpr std::int64_t max_pixels = 100'000'000;
constexpr std::size_t max_bytes = std::size_t{1} << 30;

// The most pixels that so many bytes can hold, so that a header's claim is not believed before memory is taken for it. JPEG spends at least
// one bit on each block of 8 x 8 pixels; deflate at least one byte on 1032, of at least one bit a pixel and one byte a row in a PNG.
bool can_hold(std::size_t bytes, stb::Size size, ImageFormat format) {
  const std::uint64_t w = static_cast<std::uint64_t>(size.width), h = static_cast<std::uint64_t>(size.height);
  if (format == ImageFormat::jpeg) return (w + 7) / 8 * ((h + 7) / 8) <= std::uint64_t{8} * bytes;
  if (format == ImageFormat::png) return (w / 8 + 1) * h <= std::uint64_t{1032} * bytes;
  return true;  // BMP: the structure has been checked
}

std::vector<std::byte> read_bytes(const std::filesystem::path& path) {
  const std::string name = path.string();
  std::error_code problem;
  const auto status = std::filesystem::status(path, problem);
  if (status.type() == std::filesystem::file_type::not_found) fail(ErrorCode::not_found, name, " does not exist; check the path of the picture.");
  if (status.type() == std::filesystem::file_type::directory) fail(ErrorCode::bad_file, name, " is a folder; name the picture files in it.");
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) fail(ErrorCode::io, name, " cannot be read: ", errno ? std::strerror(errno) : "the system refuses", ".");

  // Chunk by chunk, so that a pipe can be read as well.
  std::vector<std::byte> bytes;
  std::array<char, 1 << 16> chunk;
  while (in.read(chunk.data(), chunk.size()), in.gcount() > 0) {
    const auto* first = reinterpret_cast<const std::byte*>(chunk.data());
    bytes.insert(bytes.end(), first, first + in.gcount());
    if (bytes.size() > max_bytes) fail(ErrorCode::unsupported, name, " is larger than 1 GiB, the most that limpid reads as a picture.");
  }
  if (in.bad()) fail(ErrorCode::io, name, " cannot be read to its end: ", errno ? std::strerror(errno) : "the system refuses", ".");
  return bytes;
}

// What Pillow's ImageOps.exif_transpose does: orientations 5..8 swap the axes.
Image upright(Image image, int orientation) {
  if (orientation == 1) return image;
  const int w = image.width, h = image.height;
  const bool swapped = orientation >= 5;
  Image out(swapped ? h : w, swapped ? w : h);
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      const int u = swapped ? y : x, v = swapped ? x : y;  // along the source's axes, perhaps backwards
      const bool mirror_u = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
      const bool mirror_v = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
      std::memcpy(out.at(x, y), image.at(mirror_u ? w - 1 - u : u, mirror_v ? h - 1 - v : v), 3);
    }
  }
  return out;
}

}  // namespace

Image::Image(int w, int h, std::uint8_t level) : width(w), height(h) {
  require(w >= 0 && h >= 0, "Image: the extents are ", w, " x ", h, "; neither may be negative.");
  pixels.assign(static_cast<std::size_t>(w) * static_cast<std::size_t>(h) * 3, level);
}

void require_picture(const Image& image, std::string_view who) {
  require(image.width > 0 && image.height > 0, who, ": the picture is empty (", image.width, " x ", image.height, " pixels).");
  const std::size_t bytes = static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3;
  require(image.pixels.size() == bytes, who, ": a picture of ", image.width, " x ", image.height, " pixels has ", bytes, " bytes, not ",
          image.pixels.size(), ".");
}

Image read_image(const std::filesystem::path& path) { return decode_image(read_bytes(path), path.string()); }

Image decode_image(std::span<const std::byte> bytes, std::string_view name) {
  if (bytes.empty()) fail(ErrorCode::bad_file, name, " is empty.");
  if (bytes.size() > max_bytes) fail(ErrorCode::unsupported, name, " is larger than 1 GiB, the most that limpid reads as a picture.");
  const ImageFormat format = format_of(bytes);
  if (format == ImageFormat::unknown) fail(ErrorCode::bad_file, name, " is not a picture that limpid reads (JPEG, PNG or BMP); convert it to one of them.");

  const ImageStructure structure = structure_of(bytes, format);
  if (structure.damage) fail(ErrorCode::bad_file, name, " is damaged: ", structure.damage, ".");
  if (!structure.complete) fail(ErrorCode::bad_file, name, " is cut short: the end of the picture is missing; fetch or copy it again.");
  if (structure.cmyk_without_adobe)
    fail(ErrorCode::unsupported, name, " is a four-channel JPEG without Adobe's marker, so its colours are unknown; save it as RGB.");

  const stb::Size size = stb::size_of(bytes);
  if (size.width <= 0 || size.height <= 0)
    fail(ErrorCode::bad_file, name, " has a header that limpid cannot read: damaged, or of a rare kind (lossless,"
         " arithmetic or 12-bit JPEG, RLE BMP); save it anew as PNG.");
  if (static_cast<std::int64_t>(size.width) * size.height > max_pixels)
    fail(ErrorCode::unsupported, name, " has ", size.width, " x ", size.height, " pixels, more than the 100 megapixels that limpid reads; make it smaller.");
  if (!can_hold(bytes.size(), size, format))
    fail(ErrorCode::bad_file, name, " is cut short: its ", bytes.size(), " bytes cannot hold ", size.width, " x ", size.height, " pixels; fetch or copy it again.");

  Image image;
  std::string reason;
  image.pixels = stb::decode_rgb(bytes, size, reason);
  if (image.pixels.empty()) fail(ErrorCode::bad_file, name, " is damaged and cannot be decoded (stb: ", reason, ").");
  image.width = size.width;
  image.height = size.height;
  return upright(std::move(image), exif_orientation(structure.exif));
}

std::vector<std::byte> encode_png(const Image& image) {
  require_picture(image, "encode_png");
  require(static_cast<std::int64_t>(image.width) * image.height <= max_pixels, "encode_png: ", image.width, " x ", image.height,
          " pixels are more than 100 megapixels.");
  return stb::encode_png(image.pixels.data(), {image.width, image.height});
}

void write_png(const std::filesystem::path& path, const Image& image) { write_file_atomically(path, encode_png(image)); }

}  // namespace limpid
