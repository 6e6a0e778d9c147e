// The house's own rules, read off the source: which room may include which, how long a file may be, and that headers include once.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace limpid::testing {
namespace {

namespace fs = std::filesystem;

/// A room may include itself and what stands here; a folder that is not listed fails the test.
const std::map<std::string, std::set<std::string>> may_include = {
    {"runtime", {}},
    {"cpu", {"runtime"}},
    {"cuda", {"runtime"}},
    {"weights", {"runtime"}},
    {"nn", {"runtime", "weights"}},
    {"attribution", {"runtime", "weights", "nn"}},
};

/// Made by scripts: their length says nothing.
const std::set<std::string> generated = {"font_data.cpp", "colormap_tables.cpp"};

constexpr std::ptrdiff_t most_lines = 500;

struct SourceFile {
  std::string name;  // "limpid/nn/model.h"
  std::string room, text;
  bool header;
};

std::vector<SourceFile> source_files() {
  const fs::path root = LIMPID_SOURCE_DIR;
  std::vector<SourceFile> files;
  for (const auto& entry : fs::recursive_directory_iterator(root / "limpid")) {
    const auto suffix = entry.path().extension();
    if (!entry.is_regular_file() || (suffix != ".h" && suffix != ".cpp")) continue;
    const fs::path inside = fs::relative(entry.path(), root / "limpid");
    std::ifstream file(entry.path(), std::ios::binary);
    files.push_back({"limpid/" + inside.generic_string(), inside.has_parent_path() ? inside.begin()->string() : "", {std::istreambuf_iterator<char>(file), {}}, suffix == ".h"});
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

/// What every `#include` names, brackets or quotes included.
std::vector<std::string> includes(const std::string& text) {
  static const std::regex line(R"re((?:^|\n)[ \t]*#[ \t]*include[ \t]*(<[^>\n]*>|"[^"\n]*"))re");
  std::vector<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), line), end; it != end; ++it) found.push_back((*it)[1]);
  return found;
}

TEST(Rooms, AreAllThere) {
  std::set<std::string> seen;
  for (const auto& file : source_files()) seen.insert(file.room);
  for (const auto& [room, allowed] : may_include) EXPECT_TRUE(seen.count(room)) << "limpid/" << room << " holds no source file";
}

TEST(Rooms, ArrowsRunOneWay) {
  static const std::regex ours(R"(<limpid/([^/>]+)/[^>]+>)");
  for (const auto& file : source_files()) {
    const auto allowed = may_include.find(file.room);
    if (allowed == may_include.end()) {
      ADD_FAILURE() << file.name << ": the room '" << file.room << "' is not listed in " << __FILE__;
      continue;
    }
    for (const auto& name : includes(file.text)) {
      if (name.front() == '"') ADD_FAILURE() << file.name << " includes " << name << "; write <limpid/ROOM/FILE.h>, which also holds when installed";
      if (!name.starts_with("<limpid/")) continue;
      std::smatch parts;
      if (!std::regex_match(name, parts, ours)) {
        ADD_FAILURE() << file.name << " includes " << name << ", which lies in no room";
      } else if (const std::string room = parts[1]; room != file.room && !allowed->second.count(room)) {
        ADD_FAILURE() << file.name << " includes " << name << "; " << file.room << " may not include " << room;
      }
    }
  }
}

TEST(Rooms, FilesStayShort) {
  for (const auto& file : source_files())
    if (!generated.count(fs::path(file.name).filename().string())) {
      EXPECT_LT(std::count(file.text.begin(), file.text.end(), '\n'), most_lines) << file.name << " is too long; split it";
    }
}

TEST(Rooms, HeadersIncludeOnce) {
  static const std::regex once(R"((^|\n)#pragma once\s)");
  for (const auto& file : source_files())
    if (file.header) {
      EXPECT_TRUE(std::regex_search(file.text, once)) << file.name << " lacks #pragma once";
    }
}

// The reader of includes, so that the tests above cannot pass by seeing nothing.
TEST(Rooms, IncludesAreSeen) {
  EXPECT_EQ(includes("#include <limpid/nn/model.h>\n  #  include \"model.h\"\n// #include <limpid/cpu/kernels.h>\n#include <vector>"),
            (std::vector<std::string>{"<limpid/nn/model.h>", "\"model.h\"", "<vector>"}));
}

}  // namespace
}  // namespace limpid::testing
