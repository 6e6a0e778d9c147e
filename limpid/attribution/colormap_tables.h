#pragma once
// The embedded colour maps; see colormap.h.
#include <cstddef>
#include <iterator>

namespace limpid::detail {

struct NamedColorTable {
  const char* name;
  const char* digits;  // 256 colours, six hexadecimal digits each
};
extern const NamedColorTable color_tables[];
extern const std::size_t color_table_count;

}  // namespace limpid::detail
