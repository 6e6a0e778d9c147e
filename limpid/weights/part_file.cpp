#include <limpid/runtime/error.h>
#include <limpid/weights/part_file.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace limpid {
namespace {

/// Whether the descriptor's file still has this name: another process may have renamed or removed it before the lock was ours.
bool still_named(int descriptor, const std::filesystem::path& path) {
  struct stat open {
  }, named{};
  return ::fstat(descriptor, &open) == 0 && ::stat(path.c_str(), &named) == 0 && open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

}  // namespace

PartFile::PartFile(const std::filesystem::path& target, const CancelToken* cancel) : target_(target), path_(target.string() + ".part") {
  while (descriptor_ < 0) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor_ < 0) refuse(errno);
    while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      const bool stop = cancel && cancel->cancelled();
      if ((error == EWOULDBLOCK || error == EINTR) && !stop) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        continue;
      }
      ::close(std::exchange(descriptor_, -1));
      if (stop) fail(ErrorCode::cancelled, "Cancelled.");
      refuse(error);
    }
    if (!still_named(descriptor_, path_)) ::close(std::exchange(descriptor_, -1));
  }
  try {
    read_digest();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

PartFile::~PartFile() {
  if (there_ && size_ == 0) remove();
  ::close(descriptor_);
}

void PartFile::read_digest() {
  std::vector<std::byte> buffer(1 << 20);
  for (;;) {
    const ssize_t got = ::read(descriptor_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse(errno);
    if (got == 0) return;
    hash_.update(std::span(buffer).first(static_cast<std::size_t>(got)));
    size_ += static_cast<std::uint64_t>(got);
  }
}

void PartFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse(errno);
    const auto count = static_cast<std::size_t>(written);
    hash_.update(bytes.first(count));
    size_ += count;
    bytes = bytes.subspan(count);
  }
}

void PartFile::restart() {
  if (::ftruncate(descriptor_, 0) != 0 || ::lseek(descriptor_, 0, SEEK_SET) != 0) refuse(errno);
  hash_ = Sha256();
  size_ = 0;
}

std::string PartFile::digest() { return hash_.digest(); }

void PartFile::commit() {
  if (::fsync(descriptor_) != 0) refuse(errno);
  if (::rename(path_.c_str(), target_.c_str()) != 0) refuse(errno);
  there_ = false;
}

void PartFile::remove() noexcept {
  ::unlink(path_.c_str());
  there_ = false;
}

void PartFile::refuse(int error) const {
  const char* advice = error == ENOSPC || error == EDQUOT
                           ? " Free some space, or set XDG_CACHE_HOME to a folder that has some; the download goes on where it stopped."
                       : error == EACCES || error == EROFS ? " Set XDG_CACHE_HOME to a folder that you may write to."
                                                           : "";
  fail(ErrorCode::io, "Cannot write ", path_.string(), ": ", std::generic_category().message(error), ".", advice);
}

}  // namespace limpid
