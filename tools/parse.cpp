#include "parse.h"

#include <limpid/runtime/error.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace {

template <class T>
std::optional<T> whole(std::string_view text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::optional<std::int64_t> integer_in(std::string_view text) { return whole<std::int64_t>(text); }

std::optional<double> number_in(std::string_view text) {
  const auto number = whole<double>(text);
  return number && std::isfinite(*number) ? number : std::nullopt;
}

std::vector<std::string> comma_separated(std::string_view option, std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(',', begin);
    parts.emplace_back(text.substr(begin, end == text.npos ? end : end - begin));
    limpid::require(!parts.back().empty(), option, ": '", text, "' has an empty part.");
    if (end == text.npos) return parts;
    begin = end + 1;
  }
}

std::string joined(std::span<const std::string> names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::array<std::int64_t, 2> extents_in(std::string_view option, std::string_view text) {
  const std::size_t cross = text.find('x');
  const auto rows = integer_in(text.substr(0, cross));
  const auto columns = cross == text.npos ? rows : integer_in(text.substr(cross + 1));
  limpid::require(rows && columns, option, ": '", text, "' is not ROWSxCOLUMNS (15x15) or one number for both.");
  return {*rows, *columns};
}

std::size_t bytes_in(std::string_view option, std::string_view text) {
  static constexpr std::pair<std::string_view, double> units[] = {{"", 1}, {"B", 1}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
  const std::size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
  const auto number = number_in(text.substr(0, end));
  for (const auto& [unit, factor] : units) {
    const double bytes = number.value_or(0) * factor;
    if (text.substr(end) == unit && bytes >= 1 && bytes < 0x1p60) return static_cast<std::size_t>(bytes);
  }
  limpid::fail(limpid::ErrorCode::invalid_argument, option, ": '", text, "' is not a size; write 1000000, 512MiB or 2GiB.");
}
