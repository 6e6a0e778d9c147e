#include <limpid/attribution/colormap.h>
#include <limpid/attribution/colormap_tables.h>
#include <limpid/runtime/error.h>
#include <limpid/runtime/near_names.h>

#include <algorithm>

namespace limpid {
namespace {

std::uint8_t hex_byte(const char* digits) {
  const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  return static_cast<std::uint8_t>(value(digits[0]) * 16 + value(digits[1]));
}

}  // namespace

ColorMap::ColorMap() {
  for (std::size_t i = 0; i < 256; ++i) table_[i].fill(static_cast<std::uint8_t>(i));
}

ColorMap ColorMap::named(std::string_view name) {
  for (const auto& known : std::span(detail::color_tables, detail::color_table_count)) {
    if (known.name != name) continue;
    ColorMap map;
    const char* digits = known.digits;
    for (Color& color : map.table_)
      for (std::uint8_t& level : color) level = hex_byte(digits), digits += 2;
    return map;
  }
  const std::vector<std::string> known = names();
  std::string list;
  for (const std::string& one : known) list += (list.empty() ? "" : ", ") + one;
  fail(ErrorCode::invalid_argument, "The colour map '", name, "' is unknown; use one of ", list, ".", did_you_mean(name, known));
}

std::vector<std::string> ColorMap::names() {
  std::vector<std::string> names;
  for (const auto& known : std::span(detail::color_tables, detail::color_table_count)) names.emplace_back(known.name);
  return names;
}

ColorMap ColorMap::from_colors(std::span<const Color> colors) {
  require(colors.size() >= 2, "ColorMap::from_colors: ", colors.size(), " colours are given; at least two are needed.");
  ColorMap map;
  for (std::size_t i = 0; i < 256; ++i) {
    const double at = static_cast<double>(i) / 255.0 * static_cast<double>(colors.size() - 1);
    const std::size_t low = std::min(static_cast<std::size_t>(at), colors.size() - 2);
    const double t = at - static_cast<double>(low);
    for (std::size_t c = 0; c < 3; ++c) map.table_[i][c] = static_cast<std::uint8_t>(colors[low][c] + t * (colors[low + 1][c] - colors[low][c]) + 0.5);
  }
  return map;
}

Color ColorMap::operator()(double value) const {
  if (!(value > 0)) return table_.front();
  return table_[std::min(static_cast<std::size_t>(std::min(value, 1.0) * 256), std::size_t{255})];
}

}  // namespace limpid
