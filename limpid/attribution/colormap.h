#pragma once
// Colour maps: 256 colours over [0, 1], under matplotlib's names.
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limpid {

using Color = std::array<std::uint8_t, 3>;  // red, green, blue

class ColorMap {
 public:
  /// Grey, black to white: entry i is (i, i, i).
  ColorMap();
  explicit ColorMap(const std::array<Color, 256>& table) : table_(table) {}

  /// A map by name: matplotlib's viridis, magma, inferno, plasma, jet, coolwarm, bwr, gray, Greens, Reds, Blues; Captum's red_white_green;
  /// black_white. Throws invalid_argument with the known names.
  static ColorMap named(std::string_view name);
  static std::vector<std::string> names();

  /// Colours at equal distances over [0, 1], linear between them, rounded.
  /// Throws invalid_argument for fewer than two.
  static ColorMap from_colors(std::span<const Color> colors);

  /// The colour of `value` in [0, 1]; clamped outside, the first colour for NaN.
  Color operator()(double value) const;
  const std::array<Color, 256>& table() const { return table_; }
  bool operator==(const ColorMap&) const = default;

 private:
  std::array<Color, 256> table_;
};

}  // namespace limpid
