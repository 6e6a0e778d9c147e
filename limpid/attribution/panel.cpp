#include <limpid/attribution/font.h>
#include <limpid/attribution/panel.h>
#include <limpid/nn/resize.h>
#include <limpid/runtime/error.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace limpid {
namespace {

constexpr Color ink = {32, 33, 36}, grey = {95, 99, 104}, hairline = {218, 220, 224};
constexpr std::int64_t max_pixels = 100'000'000;

// All distances in pixels, for one scale. Sizes of type are chosen so that x-heights (0.547 em) come near whole pixels.
struct Measures {
  int margin, gap, title_height, view_title_height, subtitle_height, text_gap, bar_gap, bar_height, label_height;
  TextStyle title, view_title, subtitle, label;

  explicit Measures(double scale) {
    const auto px = [scale](double length) { return static_cast<int>(std::lround(length * scale)); };
    margin = px(28), gap = px(24);
    title_height = px(46), view_title_height = px(20), subtitle_height = px(18), text_gap = px(6);
    bar_gap = px(10), bar_height = std::max(px(8), 4), label_height = px(18);
    title = {21.9 * scale, FontWeight::bold, ink};
    view_title = {14.6 * scale, FontWeight::bold, ink};
    subtitle = {12.8 * scale, FontWeight::regular, grey};
    label = {11.0 * scale, FontWeight::regular, grey};
  }
  int color_bar_height() const { return bar_gap + bar_height + label_height; }
};

struct Extent { int width, height; };

Extent drawn_extent(const Image& image, int view_size) {
  if (!view_size) return {image.width, image.height};
  const double ratio = static_cast<double>(view_size) / std::max(image.width, image.height);
  const auto scaled = [ratio](int extent) { return std::max(1, static_cast<int>(std::lround(extent * ratio))); };
  return {scaled(image.width), scaled(image.height)};
}

// A row of views, and the room that each of its parts needs: that of the tallest.
struct Row {
  std::span<const PanelView> views;
  std::span<const Extent> extents;
  int title = 0, subtitle = 0, image = 0, bar = 0;

  int above_image(const Measures& m) const { return title + subtitle + (title + subtitle ? m.text_gap : 0); }
  int height(const Measures& m) const { return above_image(m) + image + bar; }
};

Row laid_out(std::span<const PanelView> views, std::span<const Extent> extents, const Measures& m) {
  Row row{views, extents};
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (!views[i].title.empty()) row.title = m.view_title_height;
    if (!views[i].subtitle.empty()) row.subtitle = m.subtitle_height;
    if (views[i].colorbar) row.bar = m.color_bar_height();
    row.image = std::max(row.image, extents[i].height);
  }
  return row;
}

void fill(Image& sheet, int x, int y, int width, int height, Color color) {
  for (int v = std::max(y, 0); v < std::min(y + height, sheet.height); ++v)
    for (int u = std::max(x, 0); u < std::min(x + width, sheet.width); ++u) std::memcpy(sheet.at(u, v), color.data(), 3);
}

void draw_image(Image& sheet, int x, int y, const Image& image) {
  fill(sheet, x - 1, y - 1, image.width + 2, image.height + 2, hairline);  // a frame, for pictures that are white at their borders
  for (int v = 0; v < image.height; ++v) std::memcpy(sheet.at(x, y + v), image.at(0, v), static_cast<std::size_t>(image.width) * 3);
}

// The bar with its top left corner at (x, y); labels below its ends, each in at most half the width.
void draw_color_bar(Image& sheet, int x, int y, int width, const ColorBar& bar, const Measures& m) {
  for (int u = 0; u < width; ++u) fill(sheet, x + u, y, 1, m.bar_height, bar.map(width > 1 ? static_cast<double>(u) / (width - 1) : 0.5));
  const int baseline = y + m.bar_height + static_cast<int>(std::lround(m.label_height * 0.8));
  const std::string low = shortened(bar.low, width / 2.0, m.label), high = shortened(bar.high, width / 2.0, m.label);
  draw_text(sheet, x, baseline, low, m.label);
  draw_text(sheet, x + width - text_width(high, m.label), baseline, high, m.label);
}

void draw_row(Image& sheet, int y, int cell_width, const Row& row, const Measures& m) {
  for (std::size_t i = 0; i < row.views.size(); ++i) {
    const PanelView& view = row.views[i];
    const auto [width, height] = row.extents[i];
    const int x = m.margin + static_cast<int>(i) * (cell_width + m.gap), top = y + row.above_image(m);
    draw_text(sheet, x, y + static_cast<int>(row.title * 0.7), shortened(view.title, cell_width, m.view_title), m.view_title);
    draw_text(sheet, x, y + row.title + static_cast<int>(row.subtitle * 0.7), shortened(view.subtitle, cell_width, m.subtitle), m.subtitle);
    draw_image(sheet, x, top, resize(view.image, width, height, Resampling::bicubic));
    if (view.colorbar) draw_color_bar(sheet, x, top + height + m.bar_gap, width, *view.colorbar, m);
  }
}

}  // namespace

Image draw_panel(std::string_view title, std::span<const PanelView> views, const PanelOptions& options) {
  require(!views.empty(), "draw_panel: there are no views to draw.");
  require(options.columns >= 0, "draw_panel: columns is ", options.columns, "; use 0 (all in one row) or more.");
  require(options.scale >= 0.5 && options.scale <= 8, "draw_panel: scale is ", options.scale, "; it must lie in 0.5..8.");
  require(options.view_size >= 0 && options.view_size <= 8192, "draw_panel: view_size is ", options.view_size, "; it must lie in 0..8192 pixels.");
  const Measures m(options.scale);

  // The sizes first: a sheet that is refused must not have cost its views.
  std::vector<Extent> extents;
  int cell_width = 0;
  for (const PanelView& view : views) {
    require_picture(view.image, "draw_panel");
    extents.push_back(drawn_extent(view.image, options.view_size));
    cell_width = std::max(cell_width, extents.back().width);
  }
  const std::size_t columns = options.columns ? std::min(views.size(), static_cast<std::size_t>(options.columns)) : views.size();
  std::vector<Row> rows;
  std::int64_t height = 2 * m.margin + (title.empty() ? 0 : m.title_height) - m.gap;
  for (std::size_t first = 0; first < views.size(); first += columns) {
    const std::size_t count = std::min(columns, views.size() - first);
    rows.push_back(laid_out(views.subspan(first, count), std::span(extents).subspan(first, count), m));
    height += rows.back().height(m) + m.gap;
  }
  const std::int64_t width = 2 * m.margin + static_cast<std::int64_t>(columns) * (cell_width + m.gap) - m.gap;
  require(width * height <= max_pixels, "draw_panel: the sheet would have ", width, " x ", height,
          " pixels, more than 100 megapixels; use fewer or smaller views.");

  Image sheet(static_cast<int>(width), static_cast<int>(height), 255);
  const double room = static_cast<double>(width - 2 * m.margin);
  draw_text(sheet, m.margin, m.margin + static_cast<int>(std::lround(16 * options.scale)), shortened(title, room, m.title), m.title);
  int y = m.margin + (title.empty() ? 0 : m.title_height);
  for (const Row& row : rows) {
    draw_row(sheet, y, cell_width, row, m);
    y += row.height(m) + m.gap;
  }
  return sheet;
}

Image with_color_bar(const Image& image, const ColorBar& bar, double scale) {
  require_picture(image, "with_color_bar");
  require(scale >= 0.5 && scale <= 8, "with_color_bar: scale is ", scale, "; it must lie in 0.5..8.");
  const Measures m(scale);
  Image sheet(image.width, image.height + m.color_bar_height(), 255);
  std::memcpy(sheet.pixels.data(), image.pixels.data(), image.pixels.size());
  draw_color_bar(sheet, 0, image.height + m.bar_gap, image.width, bar, m);
  return sheet;
}

}  // namespace limpid
