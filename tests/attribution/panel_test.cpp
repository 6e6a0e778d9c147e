// Panels: sizes, what stands where, and text that does not fit or is not text.
#include <limpid/attribution/font.h>
#include <limpid/attribution/panel.h>
#include <limpid/runtime/error.h>
#include <tests/support/images.h>

#include <gtest/gtest.h>

#include <cmath>

namespace limpid {
namespace {

PanelView view(std::string title, Image image) { return {std::move(title), "", std::move(image), {}}; }

bool contains(const Image& sheet, const Image& part, int x0, int y0) {
  if (x0 + part.width > sheet.width || y0 + part.height > sheet.height) return false;
  for (int y = 0; y < part.height; ++y)
    if (!std::equal(part.at(0, y), part.at(0, y) + part.width * 3, sheet.at(x0, y0 + y))) return false;
  return true;
}

// Where the picture stands in the sheet, its first row and column searched for.
bool contains(const Image& sheet, const Image& part) {
  for (int y = 0; y + part.height <= sheet.height; ++y)
    for (int x = 0; x + part.width <= sheet.width; ++x)
      if (contains(sheet, part, x, y)) return true;
  return false;
}

std::size_t dark_pixels(const Image& image) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) count += image.pixels[i] < 128;
  return count;
}

TEST(Panel, HoldsEveryViewPixelForPixel) {
  std::vector<PanelView> views;
  for (unsigned i = 0; i < 5; ++i) views.push_back(view("view", testing::noise_image(40 + 3 * static_cast<int>(i), 30, i)));
  for (const int columns : {0, 1, 2, 3, 99}) {
    const Image sheet = draw_panel("title", views, {.columns = columns});
    for (const auto& one : views) EXPECT_TRUE(contains(sheet, one.image)) << columns;
  }
}

TEST(Panel, IsWhiteAtItsMargins) {
  const PanelView views[] = {view("a", Image(50, 50)), view("b", Image(50, 50))};
  const Image sheet = draw_panel(std::string(500, 'W'), views);
  for (int y = 0; y < sheet.height; ++y)
    for (int x = 0; x < sheet.width; ++x)
      if (x < 20 || y < 20 || x >= sheet.width - 20 || y >= sheet.height - 20) {
        ASSERT_EQ(sheet.at(x, y)[0], 255) << x << ", " << y;
      }
}

TEST(Panel, IsTheSameEveryTime) {
  const PanelView views[] = {view("a", testing::noise_image(30, 20))};
  EXPECT_EQ(draw_panel("title", views), draw_panel("title", views));
}

TEST(Panel, DrawsTitlesOnlyWhereThereAreSome) {
  const PanelView bare[] = {view("", Image(60, 40, 255))}, titled[] = {view("Grad-CAM", Image(60, 40, 255))};
  EXPECT_EQ(dark_pixels(draw_panel("", bare)), 0u);
  EXPECT_GT(dark_pixels(draw_panel("", titled)), 50u);
  EXPECT_LT(draw_panel("", bare).height, draw_panel("", titled).height);
  EXPECT_LT(draw_panel("", titled).height, draw_panel("beagle", titled).height);
}

TEST(Panel, DrawsTheColorBarFromEndToEnd) {
  PanelView one = view("", Image(100, 40, 255));
  one.colorbar = ColorBar{ColorMap::named("viridis"), "0", "1"};
  const Image sheet = draw_panel("", {&one, 1});
  Image bar(100, 1);
  for (int x = 0; x < 100; ++x) {
    const Color color = one.colorbar->map(x / 99.0);
    std::copy(color.begin(), color.end(), bar.at(x, 0));
  }
  EXPECT_TRUE(contains(sheet, bar));
}

TEST(Panel, ScaleEnlargesTypeAndViewSizeEnlargesViews) {
  const PanelView views[] = {view("a", testing::noise_image(50, 25))};
  const Image one = draw_panel("t", views), two = draw_panel("t", views, {.scale = 2}), wide = draw_panel("t", views, {.view_size = 200});
  EXPECT_EQ(two.width - 50, 2 * (one.width - 50));
  EXPECT_EQ(wide.width - one.width, 150);
  EXPECT_EQ(wide.height - one.height, 75);
}

TEST(Panel, RefusesWhatCannotBeDrawn) {
  const PanelView good[] = {view("a", Image(5, 5))}, empty[] = {view("a", Image())};
  EXPECT_THROW(draw_panel("t", {}), Error);
  EXPECT_THROW(draw_panel("t", empty), Error);
  EXPECT_THROW(draw_panel("t", good, {.columns = -1}), Error);
  EXPECT_THROW(draw_panel("t", good, {.view_size = -1}), Error);
  for (const double scale : {0.0, 9.0, -1.0, std::nan("")}) EXPECT_THROW(draw_panel("t", good, {.scale = scale}), Error);
  const std::vector<PanelView> many(200, view("a", Image(2, 2)));
  EXPECT_THROW(draw_panel("t", many, {.view_size = 8192}), Error) << "beyond 100 megapixels";
}

TEST(Panel, SurvivesPicturesOfOnePixel) {
  PanelView one{"A long title", "and a long subtitle", Image(1, 1), ColorBar{}};
  EXPECT_NO_THROW(draw_panel("And a longer title above them", {&one, 1}));
  EXPECT_NO_THROW(with_color_bar(Image(1, 1), ColorBar{}));
}

TEST(Font, WidthAddsUp) {
  const TextStyle style;
  EXPECT_DOUBLE_EQ(text_width("", style), 0);
  EXPECT_NEAR(text_width("beagle", style), text_width("bea", style) + text_width("gle", style), 1e-9);
  EXPECT_GT(text_width("W", style), text_width("i", style));
  EXPECT_GT(text_width("W", {.weight = FontWeight::bold}), text_width("W", style));
}

TEST(Font, EveryPromisedCharacterHasItsOwnShape) {
  Image blank(40, 40, 255), question = blank;
  draw_text(question, 8, 30, "?", {.size = 24});
  for (const std::string_view one : {"A", "z", "0", "~", "·", "×", "–", "—", "…", "°", "é", "Ü", "ß", "−", "±", "δ", "µ", "→", "≤"}) {
    Image drawn = blank;
    draw_text(drawn, 8, 30, one, {.size = 24});
    EXPECT_NE(drawn, blank) << one;
    EXPECT_NE(drawn, question) << one;
  }
}

TEST(Font, UnknownAndMalformedTextShowsQuestionMarks) {
  const auto drawn = [](std::string_view text) {
    Image image(120, 30, 255);
    draw_text(image, 2, 22, text, {});
    return image;
  };
  EXPECT_EQ(drawn("犬"), drawn("?"));
  EXPECT_EQ(drawn("\xff\xfe"), drawn("??"));
  EXPECT_EQ(drawn("a\xe2\x80"), drawn("a??")) << "an ellipsis that ends early";
  EXPECT_EQ(drawn("\xc0\xaf"), drawn("??")) << "an overlong slash";
  EXPECT_EQ(drawn("a\nb\tc"), drawn("a b c"));
}

TEST(Font, ShortensAtWholeCharacters) {
  const TextStyle style;
  EXPECT_EQ(shortened("beagle", 1000, style), "beagle");
  const std::string cut = shortened("ééééééééééééééé", 60, style);
  EXPECT_TRUE(cut.ends_with("…"));
  EXPECT_LE(text_width(cut, style), 60);
  EXPECT_EQ((cut.size() - 3) % 2, 0u);
  EXPECT_EQ(shortened("beagle", 0, style), "…");
}

TEST(Font, TextOutsideThePictureIsCutOff) {
  for (const double x : {-500.0, -3.5, 8.0, 19.9, 1e6})
    for (const int baseline : {-100, 0, 5, 10, 25, 1000}) {
      Image image(20, 10, 255);
      EXPECT_NO_THROW(draw_text(image, x, baseline, "gÜj|", {.size = 24}));
    }
  Image empty;
  EXPECT_NO_THROW(draw_text(empty, 0, 0, "text", {}));
}

TEST(Font, RefusesSizesOutsideItsRange) {
  for (const double size : {0.0, 1.0, 1e9, std::nan("")}) EXPECT_THROW(text_width("a", {.size = size}), Error);
}

}  // namespace
}  // namespace limpid
