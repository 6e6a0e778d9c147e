#pragma once
// Where tests find files: the source tree, the shared data that is not part of it, and a folder of their own that goes when they do.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

#include <stdlib.h>  // mkdtemp

namespace limpid::testing {

/// The root of the source tree.
inline std::filesystem::path source_dir() { return LIMPID_SOURCE_DIR; }

/// The shared test data: $LIMPID_SHARED, else ../shared beside the source tree; nothing when neither is there.
inline std::optional<std::filesystem::path> shared_dir() {
  const char* named = std::getenv("LIMPID_SHARED");
  const std::filesystem::path folder = named && *named ? std::filesystem::path(named) : source_dir().parent_path() / "shared";
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder / "weights", ignored)) return std::nullopt;
  return folder;
}

/// An empty folder that is removed, with what is in it, when the object goes. Use: `TempDir dir = temp_dir(); dir / "name"`.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "limpid_test_XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("tests: cannot create a folder like " + pattern + ".");
    path_ = pattern;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline TempDir temp_dir() { return TempDir(); }

}  // namespace limpid::testing

/// Skips the test, loudly, when the shared data is missing. Use it in the test's body; afterwards *shared_dir() is there.
#define LIMPID_REQUIRE_SHARED()         \
  if (!::limpid::testing::shared_dir()) \
  GTEST_SKIP() << "NOT TESTED: the shared data is missing; set LIMPID_SHARED to its folder, or put it at ../shared beside the source tree"
