#include <limpid/cuda/plan_cache.h>
#include <limpid/runtime/atomic_file.h>
#include <limpid/runtime/error.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>

namespace limpid::cuda {
namespace {

namespace fs = std::filesystem;
using Key = std::pair<std::string, std::string>;  // identity, pattern
using Lines = std::map<Key, std::string>;

constexpr std::size_t most_bytes = 16u << 20;

fs::path cache_folder() {
  const auto folder_of = [](const char* variable) -> fs::path {
    const char* value = std::getenv(variable);
    return value && *value ? value : "";
  };
  fs::path folder = folder_of("LIMPID_CACHE");
  if (folder.empty() && !folder_of("XDG_CACHE_HOME").empty()) folder = folder_of("XDG_CACHE_HOME") / "limpid";
  if (folder.empty() && !folder_of("HOME").empty()) folder = folder_of("HOME") / ".cache" / "limpid";
  return folder;
}
fs::path cache_file() { return cache_folder().empty() ? fs::path() : cache_folder() / "cuda-plans.tsv"; }

/// FNV-1a, in hexadecimal.
std::string hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  std::string digits(16, '0');
  for (std::size_t i = digits.size(); i-- > 0; hash >>= 4) digits[i] = "0123456789abcdef"[hash & 15];
  return digits;
}
fs::path plan_file(const std::string& key) { return cache_folder() / "plans" / (hash_of(key) + ".json"); }

Lines read(const fs::path& path) {
  Lines lines;
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored) || fs::file_size(path, ignored) > most_bytes) return lines;
  std::ifstream file(path, std::ios::binary);
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find('\t'), second = first == std::string::npos ? first : line.find('\t', first + 1);
    if (second == std::string::npos || line.find('\t', second + 1) != std::string::npos || second + 1 == line.size()) continue;
    lines[{line.substr(0, first), line.substr(first + 1, second - first - 1)}] = line.substr(second + 1);
  }
  return lines;
}

bool storable(const std::string& text) { return !text.empty() && text.find_first_of("\t\n\r") == std::string::npos; }

std::mutex guard;

}  // namespace

std::optional<std::string> remembered_plan(const std::string& identity, const std::string& pattern) {
  const std::lock_guard lock(guard);
  // Read again whenever the file has changed, so that processes profit from each other.
  static Lines lines;
  static fs::path path;
  static fs::file_time_type changed;
  const fs::path now = cache_file();
  std::error_code missing;
  const auto time = fs::last_write_time(now, missing);
  if (now.empty() || missing) return std::nullopt;
  if (now != path || time != changed) {
    lines = read(now);
    path = now;
    changed = time;
  }
  const auto found = lines.find({identity, pattern});
  return found == lines.end() ? std::nullopt : std::optional(found->second);
}

void remember_plan(const std::string& identity, const std::string& pattern, const std::string& name) {
  if (!storable(identity) || !storable(pattern) || !storable(name)) return;
  const std::lock_guard lock(guard);
  const fs::path path = cache_file();
  if (path.empty()) return;
  try {
    std::error_code exists;
    fs::create_directories(path.parent_path(), exists);
    Lines lines = read(path);
    lines[{identity, pattern}] = name;
    std::string text;
    for (const auto& [key, value] : lines) text += key.first + '\t' + key.second + '\t' + value + '\n';
    write_file_atomically(path, std::string_view(text));
  } catch (const Error&) {  // a full disk or a folder that may not be written costs a measurement next time, nothing more
  }
}

std::optional<std::string> compiled_plan(const std::string& key) {
  if (cache_folder().empty()) return std::nullopt;
  std::error_code missing;
  const fs::path path = plan_file(key);
  if (!fs::is_regular_file(path, missing) || fs::file_size(path, missing) > most_bytes) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  std::string named, hash;
  if (!std::getline(file, named) || !std::getline(file, hash)) return std::nullopt;
  std::string plan{std::istreambuf_iterator<char>(file), {}};
  if (named != key || hash != hash_of(plan)) return std::nullopt;
  return plan;
}

void keep_compiled_plan(const std::string& key, const std::string& plan) {
  if (cache_folder().empty() || !storable(key) || plan.size() > most_bytes / 2) return;
  try {
    const fs::path path = plan_file(key);
    std::error_code exists;
    fs::create_directories(path.parent_path(), exists);
    write_file_atomically(path, std::string_view(key + '\n' + hash_of(plan) + '\n' + plan));
  } catch (const Error&) {
  }
}

}  // namespace limpid::cuda
