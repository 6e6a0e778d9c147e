#include <limpid/runtime/near_names.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace limpid {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from a to b (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

}  // namespace

std::vector<std::string> near_names(std::string_view wrong, std::span<const std::string> known) {
  const std::string query = lower(wrong);
  const std::size_t most = std::max<std::size_t>(1, query.size() / 3);
  std::vector<std::pair<std::size_t, std::string>> found;
  for (const auto& name : known) {
    const std::string candidate = lower(name);
    const std::size_t longer = std::max(query.size(), candidate.size()), shorter = std::min(query.size(), candidate.size());
    const std::size_t distance = longer - shorter <= most ? edit_distance(query, candidate) : longer;  // the test bounds the work
    if (distance <= most) found.emplace_back(distance, name);
    else if (query.size() >= 3 && candidate.find(query) != std::string::npos) found.emplace_back(most + 1, name);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> names;
  for (std::size_t i = 0; i < found.size() && i < 3; ++i) names.push_back(std::move(found[i].second));
  return names;
}

std::string did_you_mean(std::string_view wrong, std::span<const std::string> known) {
  const auto names = near_names(wrong, known);
  if (names.empty()) return "";
  std::string text = " Did you mean ";
  for (std::size_t i = 0; i < names.size(); ++i) text += (i == 0 ? "'" : i + 1 == names.size() ? " or '" : ", '") + names[i] + "'";
  return text + "?";
}

}  // namespace limpid
