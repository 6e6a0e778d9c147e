#pragma once
// Zip archives and pickles made byte by byte, the honest and the lying.
#include <tests/weights/files.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace limpid::testing {

struct ZipOptions {
  bool zip64_end = false;      // the end record's numbers, all too large for it
  bool zip64_entries = false;  // each entry's sizes and offset likewise
  std::uint64_t method = 0, flags = 0;
  std::string comment, extra;  // extra: in each local header alone, as PyTorch pads
};

inline std::string zip_bytes(const std::vector<std::pair<std::string, std::string>>& parts, const ZipOptions& options = {}) {
  std::string archive, directory;
  for (const auto& [name, content] : parts) {
    const std::uint64_t size = content.size(), offset = archive.size(), wide = 0xffffffff;
    const std::string common = little_endian(options.flags, 2) + little_endian(options.method, 2) + std::string(8, '\0');
    const std::string sizes = little_endian(options.zip64_entries ? wide : size, 4) + little_endian(options.zip64_entries ? wide : size, 4);
    const std::string field = options.zip64_entries ? little_endian(1, 2) + little_endian(24, 2) + little_endian(size, 8) + little_endian(size, 8) + little_endian(offset, 8) : "";
    archive += "PK\3\4" + little_endian(45, 2) + common + sizes + little_endian(name.size(), 2) + little_endian(options.extra.size(), 2) + name + options.extra + content;
    directory += "PK\1\2" + little_endian(45, 2) + little_endian(45, 2) + common + sizes + little_endian(name.size(), 2) + little_endian(field.size(), 2) +
                 std::string(10, '\0') + little_endian(options.zip64_entries ? wide : offset, 4) + name + field;
  }
  const std::uint64_t start = archive.size(), size = directory.size(), entries = parts.size();
  archive += directory;
  if (options.zip64_end) {
    const std::uint64_t end = archive.size();
    archive += "PK\6\6" + little_endian(44, 8) + little_endian(45, 2) + little_endian(45, 2) + std::string(8, '\0') + little_endian(entries, 8) + little_endian(entries, 8) +
               little_endian(size, 8) + little_endian(start, 8);
    archive += "PK\6\7" + little_endian(0, 4) + little_endian(end, 8) + little_endian(1, 4);
  }
  const auto fits = [&](std::uint64_t value, std::size_t bytes) { return options.zip64_end ? std::string(bytes, '\xff') : little_endian(value, bytes); };
  return archive + "PK\5\6" + std::string(4, '\0') + fits(entries, 2) + fits(entries, 2) + fits(size, 4) + fits(start, 4) + little_endian(options.comment.size(), 2) +
         options.comment;
}

/// The pieces of a pickle; join them and end with '.'.
namespace pickled {

inline std::string text(const std::string& value) { return "X" + little_endian(value.size(), 4) + value; }
inline std::string integer(std::int64_t value) { return "\x8a\x08" + little_endian(static_cast<std::uint64_t>(value), 8); }
inline std::string global(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }
inline std::string tuple(const std::vector<std::string>& items) {
  std::string all = "(";
  for (const auto& item : items) all += item;
  return all + "t";
}
inline std::string call(const std::string& callee, const std::vector<std::string>& arguments) { return callee + tuple(arguments) + "R"; }
inline std::string dict(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string all = "}(";
  for (const auto& [key, value] : entries) all += text(key) + value;
  return all + "u";
}
inline std::string extents(const std::vector<std::int64_t>& values) {
  std::vector<std::string> items;
  for (const auto value : values) items.push_back(integer(value));
  return tuple(items);
}
inline std::string storage(const std::string& type, const std::string& key, std::int64_t numel) {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"), integer(numel)}) + "Q";
}
/// A tensor in the storage "0" of so many floats.
inline std::string tensor(std::int64_t numel, std::int64_t offset, const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides,
                          const std::string& type = "FloatStorage") {
  return call(global("torch._utils", "_rebuild_tensor_v2"), {storage(type, "0", numel), integer(offset), extents(shape), extents(strides), "\x89", "}"});
}

}  // namespace pickled

/// A checkpoint with this pickle (without its end mark) and these bytes as its storage "0".
inline std::string checkpoint_bytes(const std::string& pickle, const std::string& storage, const ZipOptions& options = {}) {
  return zip_bytes({{"archive/data.pkl", pickle + "."}, {"archive/byteorder", "little"}, {"archive/data/0", storage}, {"archive/version", "3\n"}}, options);
}

/// The same as a legacy stream of protocol 2.
inline std::string legacy_bytes(const std::string& pickle, const std::vector<std::pair<std::string, std::string>>& storages, std::size_t element = 4) {
  std::string bytes("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
  bytes += std::string("\x80\x02M\xe9\x03.", 6) + "}." + pickle + ".](";
  for (const auto& [key, content] : storages) bytes += pickled::text(key);
  bytes += "e.";
  for (const auto& [key, content] : storages) bytes += little_endian(content.size() / element, 8) + content;
  return bytes;
}

}  // namespace limpid::testing
