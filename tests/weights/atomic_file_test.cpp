// Files appear whole or not at all, and every refusal of the system is reported.
#include <limpid/runtime/atomic_file.h>

#include <gtest/gtest.h>
#include <tests/support/paths.h>
#include <tests/weights/expect_error.h>
#include <tests/weights/files.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <csignal>

namespace limpid::testing {
namespace {

TEST(AtomicFile, WritesAndReplaces) {
  TempDir dir;
  write_file_atomically(dir / "a", "first, and longer");
  write_file_atomically(dir / "a", "second");
  EXPECT_EQ(get(dir / "a"), "second");
  write_file_atomically(dir / "empty", "");
  EXPECT_TRUE(std::filesystem::exists(dir / "empty"));
  EXPECT_EQ(count_files(dir.path()), 2u);
}

TEST(AtomicFile, TargetWithoutAFolder) {
  TempDir dir;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  write_file_atomically("plain", "text");
  std::filesystem::current_path(before);
  EXPECT_EQ(get(dir / "plain"), "text");
}

TEST(AtomicFile, WithoutCommitNothingChanges) {
  TempDir dir;
  put(dir / "a", "old");
  {
    AtomicFile file(dir / "a");
    file.write("new");
    EXPECT_EQ(get(dir / "a"), "old");
  }
  EXPECT_EQ(get(dir / "a"), "old");
  EXPECT_EQ(count_files(dir.path()), 1u);
}

TEST(AtomicFile, TheLongestName) {
  TempDir dir;
  write_file_atomically(dir / std::string(255, 'n'), "text");
  expect_error(ErrorCode::io, "File name too long", [&] { write_file_atomically(dir / std::string(256, 'n'), "text"); });
  EXPECT_EQ(count_files(dir.path()), 1u);
}

TEST(AtomicFile, TwoAtOnce) {
  TempDir dir;
  AtomicFile a(dir / "a"), b(dir / "a");
  a.write("a");
  b.write("b");
  a.commit();
  b.commit();
  EXPECT_EQ(get(dir / "a"), "b");
  EXPECT_EQ(count_files(dir.path()), 1u);
}

TEST(AtomicFile, LinkStaysALink) {
  TempDir dir;
  std::filesystem::create_directory(dir / "elsewhere");
  put(dir / "elsewhere" / "real", "old");
  std::filesystem::create_symlink(dir / "elsewhere" / "real", dir / "link");
  write_file_atomically(dir / "link", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(dir / "link"));
  EXPECT_EQ(get(dir / "elsewhere" / "real"), "new");
}

TEST(AtomicFile, PermissionsAreKept) {
  TempDir dir;
  put(dir / "a", "old");
  std::filesystem::permissions(dir / "a", std::filesystem::perms(0640));
  write_file_atomically(dir / "a", "new");
  EXPECT_EQ(std::filesystem::status(dir / "a").permissions(), std::filesystem::perms(0640));
}

TEST(AtomicFile, WriteProtectedFile) {
  if (::geteuid() == 0) GTEST_SKIP() << "NOT TESTED: root may write to every file";
  TempDir dir;
  put(dir / "a", "old");
  std::filesystem::permissions(dir / "a", std::filesystem::perms(0440));
  expect_error(ErrorCode::io, "Permission denied", [&] { write_file_atomically(dir / "a", "new"); });
}

TEST(AtomicFile, Refusals) {
  TempDir dir;
  put(dir / "file", "x");
  expect_error(ErrorCode::io, "Create the folder first", [&] { write_file_atomically(dir / "no" / "such", "text"); });
  expect_error(ErrorCode::io, "A part of the path is a file", [&] { write_file_atomically(dir / "file" / "below", "text"); });
  expect_error(ErrorCode::io, "Name a file in it", [&] { write_file_atomically(dir.path(), "text"); });
  expect_error(ErrorCode::io, "without a name", [&] { write_file_atomically("", "text"); });
  EXPECT_EQ(count_files(dir.path()), 1u);
}

TEST(AtomicFile, FullDevice) {
  expect_error(ErrorCode::io, "Cannot write /dev/full: No space left on device", [] { write_file_atomically("/dev/full", "text"); });
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

TEST(AtomicFile, FullDiskLeavesNoTemporaryFile) {
  TempDir dir;
  put(dir / "a", "old");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{1000, before.rlim_max};  // the file system has "no room" beyond 1000 bytes
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_THROW(write_file_atomically(dir / "a", std::string(5000, 'x')), Error);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(get(dir / "a"), "old");
  EXPECT_EQ(count_files(dir.path()), 1u);
}

TEST(AtomicFile, DescriptorsAreWrittenWhereTheyStand) {
  TempDir dir;
  const int fd = ::open((dir / "log").c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::write(fd, "before ", 7), 7);
  write_file_atomically("/dev/fd/" + std::to_string(fd), "between ");
  ASSERT_EQ(::write(fd, "after", 5), 5);
  ::close(fd);
  EXPECT_EQ(get(dir / "log"), "before between after");
  expect_error(ErrorCode::io, "Bad file descriptor", [] { write_file_atomically("/dev/fd/98765", "text"); });
}

TEST(AtomicFile, Pipe) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  write_file_atomically("/proc/self/fd/" + std::to_string(ends[1]), "through");
  std::array<char, 16> text{};
  EXPECT_EQ(::read(ends[0], text.data(), text.size()), 7);
  EXPECT_STREQ(text.data(), "through");
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace limpid::testing
