#include <limpid/nn/image_file.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace limpid {
namespace {

using Bytes = std::span<const std::byte>;

std::uint32_t byte_at(Bytes file, std::size_t i) { return std::to_integer<std::uint32_t>(file[i]); }
std::uint32_t big16(Bytes file, std::size_t i) { return byte_at(file, i) << 8 | byte_at(file, i + 1); }
std::uint32_t big32(Bytes file, std::size_t i) { return big16(file, i) << 16 | big16(file, i + 2); }
std::uint32_t little32(Bytes file, std::size_t i) {
  return byte_at(file, i) | byte_at(file, i + 1) << 8 | byte_at(file, i + 2) << 16 | byte_at(file, i + 3) << 24;
}
bool starts_with(Bytes bytes, const char* text, std::size_t size) { return bytes.size() >= size && std::memcmp(bytes.data(), text, size) == 0; }

// The Huffman tables of a DHT segment: a class, 16 counts of codes by length, the codes' symbols. stb 2.27 writes beyond its
// 256 symbols when the counts claim more.
bool huffman_tables_fit(Bytes segment) {
  while (segment.size() >= 17) {
    std::size_t symbols = 0;
    for (std::size_t i = 1; i <= 16; ++i) symbols += byte_at(segment, i);
    if (symbols > 256 || symbols > segment.size() - 17) return false;
    segment = segment.subspan(17 + symbols);
  }
  return segment.empty();
}

// ITU-T T.81, annex B: 0xFF and a marker; most markers are followed by a two-byte length, which counts itself.
ImageStructure jpeg_structure(Bytes file) noexcept {
  ImageStructure found;
  int channels = 0;
  bool adobe = false;
  std::size_t at = 2;
  while (at + 1 < file.size()) {
    // Entropy-coded data lies between segments: in it, 0xFF is followed by 0 or a restart marker. Fill bytes are 0xFF too.
    const std::uint32_t marker = byte_at(file, at + 1);
    if (byte_at(file, at) != 0xff || marker == 0 || marker == 0xff || marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      ++at;
      continue;
    }
    if (marker == 0xd9) {  // end of image
      found.complete = true;
      break;
    }
    if (at + 4 > file.size()) break;
    const std::size_t length = big16(file, at + 2);
    if (length < 2) {
      found.damage = "a segment of its header has an impossible length";
      return found;
    }
    if (length > file.size() - at - 2) break;
    const Bytes segment = file.subspan(at + 4, length - 2);
    const bool frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (marker == 0xc4 && !huffman_tables_fit(segment)) {
      found.damage = "a Huffman table claims more codes than there can be";
      return found;
    }
    if (frame && segment.size() >= 6) channels = static_cast<int>(byte_at(segment, 5));
    if (marker == 0xee && starts_with(segment, "Adobe", 5)) adobe = true;
    if (marker == 0xe1 && found.exif.empty() && starts_with(segment, "Exif\0\0", 6)) found.exif = segment;
    at += 2 + length;
  }
  found.cmyk_without_adobe = channels == 4 && !adobe;
  return found;
}

constexpr auto crc_table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t n = 0; n < 256; ++n) {
    std::uint32_t c = n;
    for (int k = 0; k < 8; ++k) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    table[n] = c;
  }
  return table;
}();

std::uint32_t crc(Bytes bytes) {
  std::uint32_t c = 0xffffffffu;
  for (const std::byte b : bytes) c = crc_table[(c ^ std::to_integer<std::uint32_t>(b)) & 255] ^ (c >> 8);
  return ~c;
}

// PNG, third edition, section 5: chunks of length, type, data, CRC of type and data.
ImageStructure png_structure(Bytes file) noexcept {
  ImageStructure found;
  for (std::size_t at = 8; at <= file.size() && file.size() - at >= 12;) {
    const std::size_t length = big32(file, at);
    if (length > file.size() - at - 12) break;
    const Bytes type = file.subspan(at + 4, 4), data = file.subspan(at + 8, length);
    const bool critical = (byte_at(type, 0) & 0x20) == 0, exif = starts_with(type, "eXIf", 4);
    if (critical && !starts_with(type, "IHDR", 4) && !starts_with(type, "PLTE", 4) && !starts_with(type, "IDAT", 4) && !starts_with(type, "IEND", 4)) {
      found.damage = "it holds a chunk of an unknown kind that cannot be skipped";
      return found;
    }
    if ((critical || exif) && crc(file.subspan(at + 4, 4 + length)) != big32(file, at + 8 + length)) {
      if (critical) {
        found.damage = "the checksum of a chunk does not match its bytes";
        return found;
      }
    } else if (exif) {
      found.exif = data;
    }
    if (starts_with(type, "IEND", 4)) {
      found.complete = true;
      break;
    }
    at += 12 + length;
  }
  return found;
}

// The file header names where the pixels begin; uncompressed rows are padded to four bytes.
ImageStructure bmp_structure(Bytes file) noexcept {
  ImageStructure found;
  if (file.size() < 26) return found;
  const std::uint64_t pixels = little32(file, 10), header = little32(file, 14);
  const bool old = header == 12;  // OS/2: 16-bit extents
  if (!old && file.size() < 34) return found;
  const std::int64_t height = old ? little32(file, 18) >> 16 : static_cast<std::int32_t>(little32(file, 22));
  const std::uint64_t width = old ? little32(file, 18) & 0xffff : little32(file, 18), bits = old ? little32(file, 22) >> 16 : little32(file, 26) >> 16;
  if (width > 0xffffff || height > 0xffffff || height < -0xffffff) {
    found.damage = "its header names an impossible size";
    return found;
  }
  const std::uint64_t row = (width * bits + 31) / 32 * 4, rows = static_cast<std::uint64_t>(height < 0 ? -height : height);
  found.complete = pixels + row * rows <= file.size();
  return found;
}

}  // namespace

ImageFormat format_of(std::span<const std::byte> file) noexcept {
  if (starts_with(file, "\xff\xd8\xff", 3)) return ImageFormat::jpeg;
  if (starts_with(file, "\x89PNG\r\n\x1a\n", 8)) return ImageFormat::png;
  if (starts_with(file, "BM", 2)) return ImageFormat::bmp;
  return ImageFormat::unknown;
}

ImageStructure structure_of(std::span<const std::byte> file, ImageFormat format) noexcept {
  switch (format) {
    case ImageFormat::jpeg: return jpeg_structure(file);
    case ImageFormat::png: return png_structure(file);
    case ImageFormat::bmp: return bmp_structure(file);
    case ImageFormat::unknown: break;
  }
  return {};
}

}  // namespace limpid
