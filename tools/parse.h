#pragma once
// Texts from the command line as numbers and sizes. All throw limpid::Error(invalid_argument) that names the option and says what it takes.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

std::optional<std::int64_t> integer_in(std::string_view text);
/// Finite numbers only.
std::optional<double> number_in(std::string_view text);

/// The parts between commas. Throws for an empty part.
std::vector<std::string> comma_separated(std::string_view option, std::string_view text);

/// "a, b, c"
std::string joined(std::span<const std::string> names);

/// "15x20", or "15" for both: rows, columns.
std::array<std::int64_t, 2> extents_in(std::string_view option, std::string_view text);

/// "1000000", "512MiB", "1.5GiB".
std::size_t bytes_in(std::string_view option, std::string_view text);
