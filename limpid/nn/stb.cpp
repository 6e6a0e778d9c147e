#include <limpid/nn/stb.h>
#include <limpid/runtime/error.h>

#include <cstdlib>
#include <memory>

namespace {

thread_local std::size_t allocation_limit = 0;
// Zeroed: stb 2.27 reads Huffman tables that a damaged JPEG uses but does not define, and a table of zeros is harmless.
void* limited_malloc(std::size_t size) { return size > allocation_limit ? nullptr : std::calloc(1, size); }
void* limited_realloc(void* old, std::size_t size) { return size > allocation_limit ? nullptr : std::realloc(old, size); }

}  // namespace

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_ASSERT(condition) ((void)0)  // a damaged file must not end the program
#define STBI_MALLOC(size) limited_malloc(size)
#define STBI_REALLOC(old, size) limited_realloc(old, size)
#define STBI_FREE(old) std::free(old)
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace limpid::stb {
namespace {

const stbi_uc* bytes_of(std::span<const std::byte> file) { return reinterpret_cast<const stbi_uc*>(file.data()); }

}  // namespace

Size size_of(std::span<const std::byte> file) {
  allocation_limit = std::size_t{1} << 20;  // the decoder's state
  Size size;
  int channels = 0;
  if (!stbi_info_from_memory(bytes_of(file), static_cast<int>(file.size()), &size.width, &size.height, &channels)) return {};
  size.height = std::abs(size.height);  // a BMP that begins with its top row has a negative one
  return size;
}

std::vector<std::uint8_t> decode_rgb(std::span<const std::byte> file, Size size, std::string& reason) {
  // Most is four 16-bit channels a pixel, in whole blocks of a JPEG; compressed bytes are gathered in a buffer that doubles.
  allocation_limit = (static_cast<std::size_t>(size.width) + 64) * (static_cast<std::size_t>(size.height) + 64) * 9 + 2 * file.size() + (std::size_t{1} << 20);
  Size decoded;
  int channels = 0;
  const std::unique_ptr<stbi_uc, decltype(&std::free)> pixels(
      stbi_load_from_memory(bytes_of(file), static_cast<int>(file.size()), &decoded.width, &decoded.height, &channels, 3), &std::free);
  if (!pixels) {
    reason = stbi_failure_reason() ? stbi_failure_reason() : "unknown reason";
    return {};
  }
  if (decoded.width != size.width || decoded.height != size.height) {
    reason = "its headers contradict each other";
    return {};
  }
  return {pixels.get(), pixels.get() + static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height) * 3};
}

std::vector<std::byte> encode_png(const std::uint8_t* pixels, Size size) {
  stbi_write_png_compression_level = 32;
  int bytes = 0;
  const std::unique_ptr<unsigned char, decltype(&std::free)> png(stbi_write_png_to_mem(pixels, size.width * 3, size.width, size.height, 3, &bytes), &std::free);
  if (!png) fail(ErrorCode::out_of_memory, "write_png: no memory to compress a picture of ", size.width, " x ", size.height, " pixels.");
  const auto* first = reinterpret_cast<const std::byte*>(png.get());
  return {first, first + bytes};
}

}  // namespace limpid::stb
