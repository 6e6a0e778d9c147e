#include <limpid/weights/npy.h>
#include <tests/fuzz/fuzz.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return limpid::fuzz::attempt(data, size, [](auto bytes) { limpid::fuzz::touch({{"array", limpid::read_npy(bytes, "input")}}); });
}
