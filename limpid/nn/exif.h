#pragma once
// The one EXIF entry that changes what a picture shows: how the camera was held.
#include <cstddef>
#include <span>

namespace limpid {

/// The orientation, 1..8, in the first directory of an EXIF block (a TIFF header and its directories, with or without "Exif\0\0" in front).
/// 1, upright, when there is none, the block is damaged, or the value lies outside 1..8. Reads inside `block` only.
/// Source: Exif 2.32, tag 0x0112; TIFF 6.0, section 2.
int exif_orientation(std::span<const std::byte> block) noexcept;

}  // namespace limpid
