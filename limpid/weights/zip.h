#pragma once
// Zip archives (PKWARE's APPNOTE 6.3, zip64 included) whose entries are stored, not compressed: each is a piece of the file.
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace limpid {

struct ZipEntry {
  std::uint64_t method = 0;            // 0: stored
  std::span<const std::byte> content;  // as it lies in the file, so compressed unless the method is 0
};

/// Reads the directory at the archive's end; the entries by their names. An entry begins where its local header says, which is checked
/// against the directory. Checksums are not: torch.save can be told to leave them out. `file` stands for the archive in messages.
/// Throws bad_file (damaged, cut short, not a zip archive, more than 1 000 000 entries), unsupported (encrypted, or in several parts).
std::map<std::string, ZipEntry, std::less<>> read_zip(std::span<const std::byte> archive, const std::string& file);

}  // namespace limpid
