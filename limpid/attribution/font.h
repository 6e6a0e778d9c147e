#pragma once
// Anti-aliased text on pictures, in an embedded DejaVu Sans.
#include <limpid/attribution/colormap.h>
#include <limpid/nn/image.h>

#include <string>
#include <string_view>

namespace limpid {

enum class FontWeight { regular, bold };

struct TextStyle {
  double size = 16;  // pixels to the em
  FontWeight weight = FontWeight::regular;
  Color color = {32, 33, 36};
};

/// The width of a line of UTF-8 text, in pixels. Unknown characters and malformed bytes count as '?'.
double text_width(std::string_view text, const TextStyle& style);

/// Draws a line of text; (x, baseline) is where its first letter stands. What falls outside the picture is cut off.
void draw_text(Image& image, double x, int baseline, std::string_view text, const TextStyle& style);

/// The text, or as much of its beginning as fits into `width` pixels with "…" behind it.
std::string shortened(std::string_view text, double width, const TextStyle& style);

}  // namespace limpid
