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

/// Plans that the library compiled, in its own words, one file each under plans/: loading one takes a hundredth of the time. A file that is
/// damaged or another key's counts as none.
std::optional<std::string> compiled_plan(const std::string& key);
void keep_compiled_plan(const std::string& key, const std::string& plan);

}  // namespace limpid::cuda
