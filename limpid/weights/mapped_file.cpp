#include <limpid/runtime/error.h>
#include <limpid/weights/mapped_file.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace limpid {
namespace {

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

[[noreturn]] void refuse(const std::string& name, int error) {
  const bool missing = error == ENOENT || error == ENOTDIR;
  if (missing) fail(ErrorCode::not_found, "There is no file ", name, ". Check the path.");
  fail(ErrorCode::io, "Cannot read ", name, ": ", std::generic_category().message(error), ".");
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const std::string name = path.string();
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};  // not to wait for the writer of a pipe
  if (file.number < 0) refuse(name, errno);
  struct stat status {};
  if (::fstat(file.number, &status) != 0) refuse(name, errno);
  if (S_ISDIR(status.st_mode)) fail(ErrorCode::bad_file, name, " is a folder. Name a file in it.");
  if (!S_ISREG(status.st_mode)) fail(ErrorCode::bad_file, name, " is not a regular file. Copy what it delivers into one first.");
  if (status.st_size == 0) fail(ErrorCode::bad_file, name, " is empty. Fetch or write it again.");
  const auto size = static_cast<std::size_t>(status.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (data == MAP_FAILED) refuse(name, errno);
  return std::shared_ptr<const MappedFile>(new MappedFile(static_cast<const std::byte*>(data), size));
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::byte*>(data_), size_); }

}  // namespace limpid
