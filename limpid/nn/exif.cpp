#include <limpid/nn/exif.h>

#include <cstdint>
#include <cstring>

namespace limpid {
namespace {

// Integers of a TIFF block in its byte order; reading outside the block gives 0.
struct TiffReader {
  std::span<const std::byte> block;
  bool big_endian = false;

  bool holds(std::size_t offset, std::size_t size) const { return offset <= block.size() && size <= block.size() - offset; }
  std::uint32_t read(std::size_t offset, std::size_t size) const {
    if (!holds(offset, size)) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value = value << 8 | std::to_integer<std::uint32_t>(block[offset + (big_endian ? i : size - 1 - i)]);
    return value;
  }
};

constexpr std::uint32_t orientation_tag = 0x0112, type_short = 3, type_long = 4;

}  // namespace

int exif_orientation(std::span<const std::byte> block) noexcept {
  if (block.size() >= 6 && std::memcmp(block.data(), "Exif\0\0", 6) == 0) block = block.subspan(6);
  if (block.size() < 8) return 1;
  const bool little = std::memcmp(block.data(), "II*\0", 4) == 0, big = std::memcmp(block.data(), "MM\0*", 4) == 0;
  if (!little && !big) return 1;

  const TiffReader tiff{block, big};
  const std::size_t directory = tiff.read(4, 4);
  const std::size_t entries = tiff.read(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;  // tag, type, count, value: 2 + 2 + 4 + 4 bytes
    if (!tiff.holds(entry, 12)) return 1;
    if (tiff.read(entry, 2) != orientation_tag) continue;
    const std::uint32_t type = tiff.read(entry + 2, 2), count = tiff.read(entry + 4, 4);
    if (count != 1 || (type != type_short && type != type_long)) return 1;
    const std::uint32_t value = tiff.read(entry + 8, type == type_short ? 2 : 4);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace limpid
