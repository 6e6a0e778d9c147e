#include "outputs.h"

#include <limpid/runtime/atomic_file.h>

namespace fs = std::filesystem;

void require_writable(const fs::path& path) {
  std::error_code ignored;
  const auto status = fs::status(path, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status)) return;  // opening a pipe to try it would end it
  const limpid::AtomicFile probe(path);                                                         // never committed, so it leaves nothing
}

bool same_file(const fs::path& a, const fs::path& b) {
  std::error_code ignored;
  if (fs::exists(a, ignored) && fs::exists(b, ignored)) return fs::equivalent(a, b, ignored) && fs::is_regular_file(a, ignored);
  return fs::weakly_canonical(a, ignored) == fs::weakly_canonical(b, ignored);
}

bool is_stdout(const fs::path& path) { return path == "/dev/stdout" || path == "/dev/fd/1"; }
