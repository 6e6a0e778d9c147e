#pragma once
// A download's bytes on their way: FILE.part, locked, with the digest of what is in it.
#include <limpid/runtime/executable.h>
#include <limpid/weights/sha256.h>

#include <cstdint>
#include <filesystem>
#include <span>

namespace limpid {

class PartFile {
 public:
  /// Opens or creates `target`.part, waits until no other process has it, and reads what is in it already.
  /// Throws io when the system refuses; cancelled.
  PartFile(const std::filesystem::path& target, const CancelToken* cancel);
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  /// Leaves the file for the next time, unless it is empty.
  ~PartFile();

  std::uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

  /// Throws io.
  void append(std::span<const std::byte> bytes);
  /// Empties the file.
  void restart();
  /// The SHA-256 of all of it.
  std::string digest();
  /// Gives the file its name, once its bytes are on the disk.
  void commit();
  void remove() noexcept;

 private:
  void read_digest();
  [[noreturn]] void refuse(int error) const;

  std::filesystem::path target_, path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  Sha256 hash_;
  bool there_ = true;  // under its own name
};

}  // namespace limpid
