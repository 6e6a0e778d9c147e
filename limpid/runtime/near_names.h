#pragma once
// For messages about a name that is not there: the names that may have been meant.
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limpid {

/// At most three of `known` that are near `wrong`, nearest first: few edits away (an insertion, deletion, replacement or swap of
/// neighbours counts one, case none), or containing it. Empty when none is near.
std::vector<std::string> near_names(std::string_view wrong, std::span<const std::string> known);

/// " Did you mean 'a', 'b' or 'c'?" (with the leading space, to end a message), or "" when no name is near.
std::string did_you_mean(std::string_view wrong, std::span<const std::string> known);

}  // namespace limpid
