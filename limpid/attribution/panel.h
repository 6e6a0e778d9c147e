#pragma once
// A titled sheet of pictures side by side: what `limpid explain` writes.
#include <limpid/attribution/colormap.h>
#include <limpid/nn/image.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace limpid {

/// A colour map with the labels of its two ends.
struct ColorBar {
  ColorMap map;
  std::string low = "0", high = "1";
};

struct PanelView {
  std::string title;     // above the picture
  std::string subtitle;  // under the title, smaller and grey
  Image image;
  std::optional<ColorBar> colorbar = {};  // below the picture
};

struct PanelOptions {
  int columns = 0;    // views in a row; 0: all in one row
  double scale = 1;   // of type and margins, 0.5..8: 2 suits a high-density screen
  int view_size = 0;  // the longer side of every view, in pixels (bicubic); 0: pixel for pixel
};

/// Draws the views in rows on white, each with its titles and colour bar, under `title`. Text is UTF-8 (ASCII and a little more; the rest shows as '?')
/// and is shortened with an ellipsis where it does not fit. Throws invalid_argument for no views, an empty picture, options outside
/// their range, or a sheet of more than 100 megapixels.
Image draw_panel(std::string_view title, std::span<const PanelView> views, const PanelOptions& options = {});

/// `image` with the colour bar and its labels below, as wide as the picture, on white.
Image with_color_bar(const Image& image, const ColorBar& bar, double scale = 1);

}  // namespace limpid
