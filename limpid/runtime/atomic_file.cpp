#include <limpid/runtime/atomic_file.h>
#include <limpid/runtime/error.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace limpid {
namespace {

namespace fs = std::filesystem;

/// The descriptor that a name like /dev/stdout stands for. Opening such a name anew would start at the file's beginning
/// and overwrite what the program has printed already.
std::optional<int> inherited_descriptor(const fs::path& path) {
  const std::string name = path.string();
  if (name == "/dev/stdout") return 1;
  if (name == "/dev/stderr") return 2;
  constexpr std::string_view folder = "/dev/fd/";
  int number = -1;
  if (!name.starts_with(folder)) return std::nullopt;
  const auto [end, error] = std::from_chars(name.data() + folder.size(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size() || number < 0) return std::nullopt;
  return number;
}

}  // namespace

AtomicFile::AtomicFile(fs::path target) : named_(std::move(target)), target_(named_) {
  if (named_.empty()) fail(ErrorCode::io, "Cannot write a file without a name.");
  if (const auto inherited = inherited_descriptor(named_)) {
    descriptor_ = ::fcntl(*inherited, F_DUPFD_CLOEXEC, 0);
    if (descriptor_ < 0) refuse(errno);
    return;
  }
  struct stat old {};
  const bool exists = ::stat(target_.c_str(), &old) == 0;
  if (exists && S_ISDIR(old.st_mode)) refuse(EISDIR);
  if (exists && !S_ISREG(old.st_mode)) {
    descriptor_ = ::open(target_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) refuse(errno);
    return;
  }
  if (exists) {
    if (::access(target_.c_str(), W_OK) != 0) refuse(errno);  // rename would replace a write-protected file without asking
    std::error_code error;
    target_ = fs::canonical(target_, error);
    if (error) refuse(error.value());
  }
  static std::atomic<unsigned> counter{0};
  do {  // the name is short, so that it fits wherever the target's does
    temporary_ = target_.parent_path() / (".limpid-" + std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".tmp");
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) {
    const int error = errno;
    temporary_.clear();
    refuse(error);
  }
  if (exists) (void)!::fchmod(descriptor_, old.st_mode & 07777);  // keep the old file's permissions where the system lets us
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (descriptor_ < 0) fail(ErrorCode::internal, "AtomicFile: ", named_.string(), " is written to after its commit.");
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::commit() {
  if (descriptor_ < 0) fail(ErrorCode::internal, "AtomicFile: ", named_.string(), " is committed twice.");
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR) refuse(errno);
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) refuse(errno);
  temporary_.clear();
}

void AtomicFile::refuse(int error) const {
  const char* advice = error == ENOENT    ? " Create the folder first."
                       : error == ENOTDIR ? " A part of the path is a file."
                       : error == ENOSPC  ? " Free some space or write elsewhere."
                       : error == EISDIR  ? " Name a file in it."
                                          : "";
  fail(ErrorCode::io, "Cannot write ", named_.string(), ": ", std::generic_category().message(error), ".", advice);
}

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const fs::path& path, std::string_view text) { write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size()))); }

}  // namespace limpid
