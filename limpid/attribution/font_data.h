#pragma once
// The embedded fonts; see font.h.

namespace limpid::detail {

// Lines of base64 that make up a TrueType file, then nullptr.
extern const char* const font_regular[];
extern const char* const font_bold[];

}  // namespace limpid::detail
