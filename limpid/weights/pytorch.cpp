#include <limpid/weights/excerpt.h>
#include <limpid/weights/little_endian.h>
#include <limpid/weights/mapped_file.h>
#include <limpid/weights/pickle.h>
#include <limpid/weights/pytorch.h>
#include <limpid/weights/pytorch_state_dict.h>
#include <limpid/weights/pytorch_tensors.h>
#include <limpid/weights/zip.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace limpid {
namespace {

using Bytes = std::span<const std::byte>;
using Kind = PickleValue::Kind;

constexpr std::size_t max_pickle = 100'000'000;  // as many bytes as a safetensors header may have
constexpr std::string_view zip_start = "PK\x03\x04";
constexpr std::string_view magic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";  // 0x1950a86a20f9469cfc6c, little-endian
constexpr std::string_view magic_text = "L119547037146038801333356L\n.";        // the same in protocols 0 and 1
constexpr std::int64_t legacy_version = 1001;

std::string_view text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// The magic number is a pickle of its own: PROTO, from protocol 4 on FRAME and eight bytes, LONG1 of ten bytes; or a line of digits.
bool is_legacy(std::string_view start) {
  if (start.starts_with(magic_text)) return true;
  if (start.size() < 2 || start[0] != '\x80' || start[1] < 2 || start[1] > 5) return false;
  start.remove_prefix(2);
  if (start.starts_with('\x95')) start.remove_prefix(std::min<std::size_t>(9, start.size()));
  return start.starts_with("\x8a\x0a") && start.substr(2).starts_with(magic);
}

/// Takes the tensors of the state dict in `pickle` from their storages.
void fill(PytorchFile& result, const Pickle& pickle, StorageSource source, const std::string& file) {
  PytorchTensors tensors(pickle, std::move(source), file);
  StateDict state = find_state_dict(pickle, tensors, file);
  result.notes = std::move(state.notes);
  for (const auto& [name, id] : state.tensors) result.tensors.emplace(name, tensors.read(id, name));
  if (!tensors.widened().empty())
    result.notes.push_back("Element types are widened: " + list_names({tensors.widened().begin(), tensors.widened().end()}) + ".");
}

using Archive = std::map<std::string, ZipEntry, std::less<>>;

/// The folder, with its '/', in which data.pkl lies; everything else lies there too.
std::string folder_of(const Archive& archive, const std::string& file) {
  for (const auto& [name, entry] : archive) {
    const auto slash = name.find('/');
    if (slash == std::string::npos ? name != "data.pkl" : std::string_view(name).substr(slash + 1) != "data.pkl") continue;
    const std::string folder = slash == std::string::npos ? "" : name.substr(0, slash + 1);
    if (archive.contains(folder + "constants.pkl"))
      fail(ErrorCode::unsupported, file, " is a TorchScript program. Save its weights alone: torch.save(torch.jit.load(path).state_dict(), 'weights.pth').");
    return folder;
  }
  fail(ErrorCode::bad_file, file, " is a zip archive without PyTorch's data.pkl, so no checkpoint. Name a file that torch.save has written.");
}

Bytes stored(const Archive& archive, const std::string& name, const std::string& file) {
  const auto found = archive.find(name);
  if (found == archive.end()) fail(ErrorCode::bad_file, file, ": the archive has no entry ", excerpt(name), ". The file is damaged; fetch or save it again.");
  if (found->second.method != 0)
    fail(ErrorCode::unsupported, file, ": the archive's entry ", excerpt(name), " is compressed, which torch.save never does. Pack it with zip -0 or save it again.");
  return found->second.content;
}

PytorchFile read_archive(Bytes bytes, std::shared_ptr<const void> owner, const std::string& file) {
  const Archive archive = read_zip(bytes, file);
  const std::string folder = folder_of(archive, file);
  PytorchFile result;
  result.format = "PyTorch zip archive";
  for (const char* key : {"version", "byteorder"}) {
    if (!archive.contains(folder + key)) continue;
    std::string_view value = text(stored(archive, folder + key, file));
    while (value.ends_with('\n')) value.remove_suffix(1);
    if (value.size() > 20) fail(ErrorCode::bad_file, file, ": the archive's ", key, " is ", excerpt(value), ". The file is damaged; fetch or save it again.");
    result.metadata.emplace(key, value);
  }
  const std::string order = result.metadata.emplace("byteorder", "little").first->second;
  if (order != "little" && order != "big") fail(ErrorCode::bad_file, file, ": the byte order ", excerpt(order), " is not known; little and big are.");

  const Bytes data = stored(archive, folder + "data.pkl", file);
  if (data.size() > max_pickle) fail(ErrorCode::bad_file, file, ": a data.pkl of ", data.size(), " bytes is longer than any that is meant well.");
  const Pickle pickle = read_pickle(data, pytorch_globals(), file);
  const auto find = [&](const StorageReference& storage) { return stored(archive, folder + "data/" + std::string(storage.key), file); };
  fill(result, pickle, {find, order == "big", bytes.size(), std::move(owner)}, file);
  return result;
}

/// Five pickles (magic number, version, the writer's machine, the object, the keys of its storages), then the storages in the order of the
/// keys: the number of elements in eight bytes, and the elements. All numbers are little-endian, whatever the writer's machine was.
class LegacyReader {
 public:
  LegacyReader(Bytes bytes, const std::string& file) : rest_(bytes), file_(file) {}

  PytorchFile read(std::shared_ptr<const void> owner) {
    const std::size_t file_bytes = rest_.size();
    next({});
    const Pickle version = next({});
    if (version[version.root].kind != Kind::integer || version[version.root].integer != legacy_version) refuse("is of an unknown version; 1001 is known");
    next({});
    const Pickle object = next(pytorch_globals());
    read_storages(object, next({}));

    PytorchFile result;
    result.format = "PyTorch legacy stream";
    result.metadata = {{"version", std::to_string(legacy_version)}, {"byteorder", "little"}};
    const auto find = [&](const StorageReference& storage) {
      const auto found = storages_.find(storage.key);
      if (found == storages_.end()) refuse("has no storage ", excerpt(storage.key));
      return found->second;
    };
    fill(result, object, {find, false, file_bytes, std::move(owner)}, file_);
    return result;
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... what) const {
    fail(ErrorCode::bad_file, file_, ": the legacy checkpoint ", what..., ". The file is damaged or cut short; fetch or save it again.");
  }

  Pickle next(std::span<const std::string_view> known) {
    Pickle pickle = read_pickle(rest_.first(std::min(rest_.size(), max_pickle)), known, file_);
    rest_ = rest_.subspan(pickle.size);
    return pickle;
  }

  void read_storages(const Pickle& object, const Pickle& keys) {
    std::map<std::string_view, StorageReference> named;
    for (PickleId id = 0; id < object.values.size(); ++id) {
      if (object[id].kind != Kind::persistent) continue;
      const auto reference = storage_reference(object, id, file_);
      named.emplace(reference.key, reference);
    }
    if (keys[keys.root].kind != Kind::list) refuse("has no list of storages");
    for (const PickleId id : keys[keys.root].items) {
      const auto found = keys[id].kind == Kind::text ? named.find(keys[id].text) : named.end();
      if (found == named.end()) refuse("lists a storage that nothing refers to");
      if (rest_.size() < 8) refuse("ends before its storage ", excerpt(found->first));
      const std::uint64_t numel = little_endian(rest_.first(8));
      rest_ = rest_.subspan(8);
      const auto size = storage_bytes(found->second, numel);
      if (numel != static_cast<std::uint64_t>(found->second.numel) || !size || *size > rest_.size())
        refuse("has a storage ", excerpt(found->first), " of ", numel, " elements where ", found->second.numel, " belong and ", rest_.size(), " bytes are left");
      storages_.insert_or_assign(found->first, rest_.first(static_cast<std::size_t>(*size)));
      rest_ = rest_.subspan(static_cast<std::size_t>(*size));
    }
  }

  Bytes rest_;
  const std::string& file_;
  std::map<std::string_view, Bytes> storages_;  // keys are pieces of the file
};

}  // namespace

bool is_pytorch(std::span<const std::byte> start) noexcept { return text(start).starts_with(zip_start) || is_legacy(text(start)); }

PytorchFile read_pytorch(const std::filesystem::path& path) {
  const auto mapped = MappedFile::open(path);
  return read_pytorch(mapped->bytes(), mapped, path.string());
}

PytorchFile read_pytorch(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& name) {
  if (text(bytes).starts_with(zip_start)) return read_archive(bytes, std::move(owner), name);
  if (is_legacy(text(bytes))) return LegacyReader(bytes, name).read(std::move(owner));
  fail(ErrorCode::bad_file, name, " is no PyTorch checkpoint: neither a zip archive nor a legacy stream of torch.save's. Check which file is meant.");
}

}  // namespace limpid
