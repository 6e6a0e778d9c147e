#pragma once
// What is known about an output file before the work begins.
#include <filesystem>

/// Throws io when the file cannot be created there: better now than after the work. Leaves everything as it is.
void require_writable(const std::filesystem::path& path);

/// Whether both name the same file, existing or not.
bool same_file(const std::filesystem::path& a, const std::filesystem::path& b);

/// Whether what is written there lands on stdout, where no summary may join it.
bool is_stdout(const std::filesystem::path& path);
