#include <limpid/weights/safetensors.h>
#include <tests/fuzz/fuzz.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return limpid::fuzz::attempt(data, size, [](auto bytes) { limpid::fuzz::touch(limpid::read_safetensors(bytes, nullptr, "input").tensors); });
}
