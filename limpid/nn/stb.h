#pragma once
// The calls of stb_image and stb_image_write that limpid needs; their sources are compiled in stb.cpp alone, invisible outside it.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace limpid::stb {

struct Size { int width = 0, height = 0; };

/// The extents that a JPEG, PNG or BMP file announces; zeros when its header is damaged or of a kind that stb does not know.
Size size_of(std::span<const std::byte> file);

/// Its pixels as RGB, 8 bits each; empty when they cannot be decoded, with the reason in stb's fixed words. No single allocation of stb's
/// exceeds what the announced size can need, so a small file cannot ask for gigabytes.
std::vector<std::uint8_t> decode_rgb(std::span<const std::byte> file, Size size, std::string& reason);

/// A PNG of width x height RGB pixels. Throws out_of_memory.
std::vector<std::byte> encode_png(const std::uint8_t* pixels, Size size);

}  // namespace limpid::stb
