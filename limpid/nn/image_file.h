#pragma once
// The structure of JPEG, PNG and BMP files: what a decoder that forgives too much does not check.
#include <cstddef>
#include <span>

namespace limpid {

enum class ImageFormat { jpeg, png, bmp, unknown };

/// By the first bytes, whatever the name says.
ImageFormat format_of(std::span<const std::byte> file) noexcept;

struct ImageStructure {
  bool complete = false;            // the file reaches the end that it announces
  const char* damage = nullptr;     // what is wrong inside, in words; none: nullptr
  bool cmyk_without_adobe = false;  // a four-channel JPEG that does not say what its channels mean
  std::span<const std::byte> exif;  // JPEG: the first APP1 EXIF segment; PNG: the eXIf chunk; else empty
};

/// Walks the segments, chunks or headers of a file, looking at no byte outside it. PNG chunks are checked against their CRC.
ImageStructure structure_of(std::span<const std::byte> file, ImageFormat format) noexcept;

}  // namespace limpid
