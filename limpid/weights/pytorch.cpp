#include <limpid/weights/mapped_file.h>
#include <limpid/weights/pytorch.h>

#include <string_view>
#include <utility>

namespace limpid {

bool is_pytorch(std::span<const std::byte> start) noexcept {
  return std::string_view(reinterpret_cast<const char*>(start.data()), start.size()).starts_with("PK\x03\x04");
}

PytorchFile read_pytorch(const std::filesystem::path& path) {
  const auto mapped = MappedFile::open(path);
  return read_pytorch(mapped->bytes(), mapped, path.string());
}

PytorchFile read_pytorch(std::span<const std::byte>, std::shared_ptr<const void>, const std::string& name) {
  fail(ErrorCode::unsupported, name, ": PyTorch checkpoints are not read yet.");
}

}  // namespace limpid
