#pragma once
// A file that appears whole or not at all: written under a temporary name beside the target, then renamed onto it.
#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace limpid {

/// Opens a temporary file beside `target`; `commit` renames it onto `target`. Without a commit nothing is left behind and the
/// old file, if there was one, stays as it was. What cannot be renamed onto (/dev/full, /dev/stdout, a pipe) is written to directly.
/// A symbolic link stays a link: the file that it points to is replaced. Every function throws Error(io) with the system's reason.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path target);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

  /// Closes the file and gives it its name. Nothing may be written afterwards.
  void commit();

 private:
  [[noreturn]] void refuse(int error) const;

  std::filesystem::path named_;      // as the caller spelled it, for messages
  std::filesystem::path target_;     // links resolved
  std::filesystem::path temporary_;  // empty when the target is written to directly
  int descriptor_ = -1;
};

/// The whole file in one call.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace limpid
