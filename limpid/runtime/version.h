#pragma once
#include <string_view>

namespace limpid {
/// "0.1.0"
std::string_view version();
}  // namespace limpid
