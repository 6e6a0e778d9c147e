#pragma once
// A file's bytes, mapped read-only into memory: nothing is read before it is looked at.
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace limpid {

class MappedFile {
 public:
  /// Maps the file; views of its bytes keep the returned owner. Throws not_found when it is missing, bad_file when it is a folder,
  /// empty or not a regular file, io when the system refuses. The file must not be shortened in place while it is mapped.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  /// Never empty; the first byte lies on a page boundary.
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile(const std::byte* data, std::size_t size) : data_(data), size_(size) {}
  const std::byte* data_;
  std::size_t size_;
};

}  // namespace limpid
