#pragma once
// Which way each convolution pattern is done best, kept on disk between runs.
#include <optional>
#include <string>

namespace limpid::cuda {

/// $LIMPID_CACHE, else $XDG_CACHE_HOME/limpid, else $HOME/.cache/limpid; the file is cuda-plans.tsv. A line a decision: identity, pattern,
/// name. Damaged lines are passed over; what cannot be read or written is done without.
std::optional<std::string> remembered_plan(const std::string& identity, const std::string& pattern);
/// Adds or replaces a line, keeping what others have written meanwhile.
void remember_plan(const std::string& identity, const std::string& pattern, const std::string& name);

}  // namespace limpid::cuda
