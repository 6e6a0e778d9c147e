#include <limpid/runtime/error.h>
#include <limpid/weights/labels.h>
#include <limpid/weights/mapped_file.h>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace limpid {

std::vector<std::string> labels_from_json(std::string_view text, const std::string& file) {
  const auto refuse = [&] { fail(ErrorCode::bad_file, file, ": the labels are not a JSON list of strings. Correct the file or its metadata."); };
  const auto guard = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > 1) refuse();
    return true;
  };
  const auto list = nlohmann::json::parse(text, guard, false);
  if (!list.is_array()) refuse();
  std::vector<std::string> labels;
  for (const auto& label : list) {
    if (!label.is_string()) refuse();
    labels.push_back(label.get<std::string>());
  }
  return labels;
}

std::vector<std::string> read_labels(const std::filesystem::path& path) {
  const std::string file = path.string();
  const auto mapped = MappedFile::open(path);
  if (mapped->bytes().size() > 16u << 20) fail(ErrorCode::bad_file, file, " is larger than 16 MiB, which is no list of labels.");
  std::string_view text(reinterpret_cast<const char*>(mapped->bytes().data()), mapped->bytes().size());
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte-order mark
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '[') return labels_from_json(text, file);

  std::vector<std::string> labels;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    labels.emplace_back(line);
  }
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  if (labels.empty()) fail(ErrorCode::bad_file, file, " names no labels. Write one a line, or a JSON list of strings.");
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const bool text_line = std::none_of(labels[i].begin(), labels[i].end(), [](unsigned char c) { return c < ' ' && c != '\t'; });
    if (labels[i].empty() || !text_line)
      fail(ErrorCode::bad_file, file, ": line ", i + 1, " is ", labels[i].empty() ? "empty" : "not text", ". Write one label a line.");
  }
  return labels;
}

}  // namespace limpid
