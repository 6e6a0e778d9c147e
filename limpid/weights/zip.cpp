#include <limpid/runtime/error.h>
#include <limpid/weights/excerpt.h>
#include <limpid/weights/little_endian.h>
#include <limpid/weights/zip.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace limpid {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::uint64_t local_signature = 0x04034b50, entry_signature = 0x02014b50, end_signature = 0x06054b50, end64_signature = 0x06064b50,
                        locator_signature = 0x07064b50;
constexpr std::size_t local_size = 30, entry_size = 46, end_size = 22, end64_size = 56, locator_size = 20, most_comment = 0xffff;
constexpr std::uint64_t beyond16 = 0xffff, beyond32 = 0xffffffff;  // "see the zip64 field"
constexpr std::uint64_t max_entries = 1'000'000;

std::uint64_t number(Bytes record, std::size_t at, std::size_t size) { return little_endian(record.subspan(at, size)); }
std::string_view text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

struct Directory {
  std::uint64_t entries, size, offset;
};

class ZipReader {
 public:
  ZipReader(Bytes archive, const std::string& file) : archive_(archive), file_(file) {}

  std::map<std::string, ZipEntry, std::less<>> read() const {
    const Directory directory = find_directory();
    if (directory.entries > max_entries) refuse("claims ", directory.entries, " entries, more than the ", max_entries, " that are read");
    Bytes rest = piece(directory.offset, directory.size, "its directory");
    std::map<std::string, ZipEntry, std::less<>> entries;
    for (std::uint64_t i = 0; i < directory.entries; ++i) {
      if (rest.size() < entry_size || number(rest, 0, 4) != entry_signature) refuse("has no entry ", i + 1, " of ", directory.entries, " in its directory");
      const std::size_t name = number(rest, 28, 2), extra = number(rest, 30, 2), comment = number(rest, 32, 2);
      if (name + extra + comment > rest.size() - entry_size) refuse("has a directory that is cut short");
      add(entries, rest.first(entry_size), text(rest.subspan(entry_size, name)), rest.subspan(entry_size + name, extra));
      rest = rest.subspan(entry_size + name + extra + comment);
    }
    return entries;
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... what) const {
    fail(ErrorCode::bad_file, file_, ": the zip archive ", what..., ". The file is damaged or cut short; fetch or save it again.");
  }

  Bytes piece(std::uint64_t offset, std::uint64_t size, std::string_view what) const {
    if (offset > archive_.size() || size > archive_.size() - offset)
      refuse("has ", what, " at bytes ", offset, " to ", offset, " + ", size, ", and ends at byte ", archive_.size());
    return archive_.subspan(offset, size);
  }

  /// The end record is the last thing in the file, but for a comment whose length it gives.
  std::size_t find_end() const {
    if (archive_.size() >= end_size)
      for (std::size_t comment = 0; comment <= std::min(archive_.size() - end_size, most_comment); ++comment) {
        const Bytes end = archive_.subspan(archive_.size() - end_size - comment, end_size);
        if (number(end, 0, 4) == end_signature && number(end, 20, 2) == comment) return archive_.size() - end_size - comment;
      }
    refuse("has no end record");
  }

  Directory find_directory() const {
    const std::size_t at = find_end();
    const Bytes end = archive_.subspan(at, end_size);
    if (number(end, 4, 2) != number(end, 6, 2) || number(end, 8, 2) != number(end, 10, 2))
      fail(ErrorCode::unsupported, file_, ": the zip archive has several parts. Join them first.");
    const Directory directory = {number(end, 10, 2), number(end, 12, 4), number(end, 16, 4)};
    const bool large = directory.entries == beyond16 || directory.size == beyond32 || directory.offset == beyond32;
    if (!large || at < locator_size) return directory;
    const Bytes locator = archive_.subspan(at - locator_size, locator_size);
    if (number(locator, 0, 4) != locator_signature) return directory;
    const Bytes end64 = piece(number(locator, 8, 8), end64_size, "its zip64 end record");
    if (number(end64, 0, 4) != end64_signature) refuse("has no zip64 end record where one is announced");
    return {number(end64, 32, 8), number(end64, 40, 8), number(end64, 48, 8)};
  }

  void add(std::map<std::string, ZipEntry, std::less<>>& entries, Bytes record, std::string_view name, Bytes extra) const {
    if (number(record, 8, 2) & 1) fail(ErrorCode::unsupported, file_, ": the zip archive's entry ", excerpt(name), " is encrypted. Save it without a password.");
    std::uint64_t stored = number(record, 20, 4), size = number(record, 24, 4), offset = number(record, 42, 4);
    if (stored == beyond32 || size == beyond32 || offset == beyond32) {
      Bytes wide = zip64_field(extra, name);
      for (std::uint64_t* value : {&size, &stored, &offset}) {  // in this order, those alone that need it
        if (*value != beyond32) continue;
        if (wide.size() < 8) refuse("gives the entry ", excerpt(name), " a zip64 field that is too short");
        *value = number(wide, 0, 8);
        wide = wide.subspan(8);
      }
    }
    const ZipEntry entry{number(record, 10, 2), content(name, offset, stored)};
    if (entry.method == 0 && stored != size) refuse("stores the entry ", excerpt(name), " of ", size, " bytes in ", stored);
    if (!entries.emplace(name, entry).second) refuse("has the entry ", excerpt(name), " twice");
  }

  Bytes zip64_field(Bytes extra, std::string_view name) const {
    while (extra.size() >= 4) {
      const std::size_t size = number(extra, 2, 2);
      if (size > extra.size() - 4) break;
      if (number(extra, 0, 2) == 1) return extra.subspan(4, size);
      extra = extra.subspan(4 + size);
    }
    refuse("gives the entry ", excerpt(name), " no zip64 field, which it needs");
  }

  /// Name and extra field of the local header may have other lengths than the directory's: PyTorch aligns contents with the latter.
  Bytes content(std::string_view name, std::uint64_t offset, std::uint64_t stored) const {
    const Bytes local = piece(offset, local_size, "a local header");
    if (number(local, 0, 4) != local_signature) refuse("has no local header for the entry ", excerpt(name));
    const std::size_t name_size = number(local, 26, 2), extra_size = number(local, 28, 2);
    if (text(piece(offset + local_size, name_size, "a name")) != name) refuse("calls the entry ", excerpt(name), " otherwise in its local header");
    return piece(offset + local_size + name_size + extra_size, stored, "the entry " + excerpt(name));
  }

  Bytes archive_;
  const std::string& file_;
};

}  // namespace

std::map<std::string, ZipEntry, std::less<>> read_zip(std::span<const std::byte> archive, const std::string& file) { return ZipReader(archive, file).read(); }

}  // namespace limpid
