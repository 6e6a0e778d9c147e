#include <limpid/attribution/font.h>
#include <limpid/attribution/font_data.h>
#include <limpid/runtime/error.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#define STB_TRUETYPE_IMPLEMENTATION
#define STBTT_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <stb/stb_truetype.h>
#pragma GCC diagnostic pop

namespace limpid {
namespace {

std::vector<unsigned char> from_base64(const char* const* lines) {
  std::vector<unsigned char> bytes;
  unsigned buffer = 0;
  int bits = 0;
  for (; *lines; ++lines) {
    for (const char* c = *lines; *c && *c != '='; ++c) {
      const int value = *c >= 'a' ? *c - 'a' + 26 : *c >= 'A' ? *c - 'A' : *c >= '0' ? *c - '0' + 52 : *c == '+' ? 62 : 63;
      buffer = buffer << 6 | static_cast<unsigned>(value);
      if ((bits += 6) >= 8) bytes.push_back(static_cast<unsigned char>(buffer >> (bits -= 8) & 255));
    }
  }
  return bytes;
}

struct Font {
  std::vector<unsigned char> file;
  stbtt_fontinfo info;
  int question_mark = 0;

  explicit Font(const char* const* lines) : file(from_base64(lines)) {
    if (!stbtt_InitFont(&info, file.data(), 0)) fail(ErrorCode::internal, "font: the embedded font cannot be read.");
    question_mark = stbtt_FindGlyphIndex(&info, '?');
  }
  int glyph(int code_point) const {
    const int found = stbtt_FindGlyphIndex(&info, code_point == '\t' || code_point == '\n' || code_point == '\r' ? ' ' : code_point);
    return found ? found : question_mark;
  }
  float scale(double size) const { return stbtt_ScaleForMappingEmToPixels(&info, static_cast<float>(size)); }
  int advance(int glyph) const {
    int width = 0;
    stbtt_GetGlyphHMetrics(&info, glyph, &width, nullptr);
    return width;
  }
};

const Font& font_of(FontWeight weight) {
  static const Font regular(detail::font_regular), bold(detail::font_bold);
  return weight == FontWeight::bold ? bold : regular;
}

// The first character of a text that is not empty, and its length in bytes. Malformed: code point -1, one byte.
struct Character { int code_point; std::size_t bytes; };
Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  const std::size_t bytes = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
  if (bytes == 1) return {static_cast<int>(lead), 1};
  if (bytes == 0 || bytes > text.size()) return {-1, 1};
  int code_point = static_cast<int>(lead & (0x7fu >> bytes));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {-1, 1};
    code_point = code_point << 6 | (byte(i) & 0x3f);
  }
  return {code_point, bytes};
}

void check(const TextStyle& style) { require(style.size >= 4 && style.size <= 512, "font: a type size of ", style.size, " pixels lies outside 4..512."); }

}  // namespace

double text_width(std::string_view text, const TextStyle& style) {
  check(style);
  const Font& font = font_of(style.weight);
  double units = 0;
  for (Character c; !text.empty(); text.remove_prefix(c.bytes)) {
    c = first_character(text);
    units += font.advance(font.glyph(c.code_point));
  }
  return units * static_cast<double>(font.scale(style.size));
}

void draw_text(Image& image, double x, int baseline, std::string_view text, const TextStyle& style) {
  check(style);
  const Font& font = font_of(style.weight);
  const float scale = font.scale(style.size);
  std::vector<unsigned char> coverage;
  for (Character c; !text.empty() && x < image.width; text.remove_prefix(c.bytes)) {
    c = first_character(text);
    const int glyph = font.glyph(c.code_point), column = static_cast<int>(std::floor(x));
    const float shift = static_cast<float>(x - column);
    int x0 = 0, y0 = 0, x1 = 0, y1 = 0;
    stbtt_GetGlyphBitmapBoxSubpixel(&font.info, glyph, scale, scale, shift, 0, &x0, &y0, &x1, &y1);
    const int width = x1 - x0, height = y1 - y0;
    coverage.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), 0);
    if (!coverage.empty()) stbtt_MakeGlyphBitmapSubpixel(&font.info, coverage.data(), width, height, width, scale, scale, shift, 0, glyph);
    for (int v = std::max(0, -(baseline + y0)); v < height && baseline + y0 + v < image.height; ++v) {
      for (int u = std::max(0, -(column + x0)); u < width && column + x0 + u < image.width; ++u) {
        const int opacity = coverage[static_cast<std::size_t>(v) * width + u];
        std::uint8_t* pixel = image.at(column + x0 + u, baseline + y0 + v);
        for (std::size_t i = 0; i < 3; ++i) pixel[i] = static_cast<std::uint8_t>((pixel[i] * (255 - opacity) + style.color[i] * opacity + 127) / 255);
      }
    }
    x += font.advance(glyph) * static_cast<double>(scale);
  }
}

std::string shortened(std::string_view text, double width, const TextStyle& style) {
  if (text_width(text, style) <= width) return std::string(text);
  constexpr std::string_view ellipsis = "…";
  const double room = width - text_width(ellipsis, style);
  std::size_t kept = 0;
  double used = 0;
  while (kept < text.size()) {
    const std::string_view one = text.substr(kept, first_character(text.substr(kept)).bytes);
    used += text_width(one, style);
    if (used > room) break;
    kept += one.size();
  }
  while (kept > 0 && text[kept - 1] == ' ') --kept;
  return std::string(text.substr(0, kept)) + std::string(ellipsis);
}

}  // namespace limpid
