#pragma once
// The names of a network's classes.
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace limpid {

/// A JSON list of strings. Throws bad_file, naming `file`, for anything else.
std::vector<std::string> labels_from_json(std::string_view text, const std::string& file);

/// A file with a JSON list of strings, or with one label a line (UTF-8; empty lines at the end do not count).
/// Throws not_found, io; bad_file when it is neither.
std::vector<std::string> read_labels(const std::filesystem::path& path);

}  // namespace limpid
