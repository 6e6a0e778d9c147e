#include <limpid/weights/pytorch.h>
#include <tests/fuzz/fuzz.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return limpid::fuzz::attempt(data, size, [](auto bytes) { limpid::fuzz::touch(limpid::read_pytorch(bytes, nullptr, "input").tensors); });
}
