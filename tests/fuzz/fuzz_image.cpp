#include <limpid/nn/image.h>
#include <limpid/nn/image_file.h>
#include <tests/fuzz/fuzz.h>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

std::uint32_t big32(const std::uint8_t* p) { return std::uint32_t{p[0]} << 24 | p[1] << 16 | p[2] << 8 | p[3]; }

/// Gives each whole chunk of a PNG its right checksum, without which hardly a changed file would reach the decoder.
void repair_checksums(std::uint8_t* data, std::size_t size) {
  for (std::size_t at = 8; at + 12 <= size;) {
    const std::size_t length = big32(data + at);
    if (length > size - at - 12) return;
    std::uint32_t c = 0xffffffffu;
    for (std::size_t i = at + 4; i < at + 8 + length; ++i) {
      c ^= data[i];
      for (int k = 0; k < 8; ++k) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    }
    for (int k = 0; k < 4; ++k) data[at + 8 + length + k] = static_cast<std::uint8_t>(~c >> (24 - 8 * k));
    at += 12 + length;
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  const bool png = limpid::format_of(std::as_bytes(std::span(data, size))) == limpid::ImageFormat::png;
  if (png && seed % 8) repair_checksums(data, size);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return limpid::fuzz::attempt(data, size, [](auto bytes) {
    const limpid::Image image = limpid::decode_image(bytes, "input");
    limpid::require_picture(image, "fuzz_image");
    limpid::fuzz::touch(std::as_bytes(std::span(image.pixels)));
  });
}
