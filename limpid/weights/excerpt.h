#pragma once
// Text out of a file, made fit for a message.
#include <string>
#include <string_view>

namespace limpid {

/// 'text' in quotes, cut after 60 bytes, with control characters and bytes beyond ASCII as '?': a file does not get to write to the terminal.
inline std::string excerpt(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, 60)) out += c >= ' ' && c <= '~' ? c : '?';
  return out + (text.size() > 60 ? "...'" : "'");
}

}  // namespace limpid
