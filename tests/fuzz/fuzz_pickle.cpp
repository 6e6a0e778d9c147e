// The input is a pickle and, behind its end mark, the bytes of every storage that it refers to.
#include <limpid/weights/pickle.h>
#include <limpid/weights/pytorch_state_dict.h>
#include <limpid/weights/pytorch_tensors.h>
#include <tests/fuzz/fuzz.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return limpid::fuzz::attempt(data, size, [](auto bytes) {
    const std::string name = "input";
    const limpid::Pickle pickle = limpid::read_pickle(bytes, limpid::pytorch_globals(), name);
    const auto storage = bytes.subspan(pickle.size);
    limpid::PytorchTensors tensors(pickle, {[&](const limpid::StorageReference&) { return storage; }, storage.size() % 2 == 1, bytes.size(), nullptr}, name);
    std::map<std::string, limpid::Tensor> read;
    for (const auto& [key, id] : limpid::find_state_dict(pickle, tensors, name).tensors) read.emplace(key, tensors.read(id, key));
    limpid::fuzz::touch(read);
  });
}
