#include <limpid/weights/zip.h>
#include <tests/fuzz/fuzz.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return limpid::fuzz::attempt(data, size, [](auto bytes) {
    for (const auto& [name, entry] : limpid::read_zip(bytes, "input")) limpid::fuzz::touch(entry.content);
  });
}
