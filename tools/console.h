#pragma once
// Results go to stdout, everything else to stderr. A result that could not be written is an error.
#include <string>
#include <string_view>

/// Makes closed standard streams fail instead of landing in the next file opened, and a broken pipe an error instead of a signal.
void prepare_streams();

/// Writes to stdout now. Throws limpid::Error(io) when not all of it could be written.
void print(std::string_view text);

/// One line on stderr: "limpid: message".
void complain(std::string_view message);

/// The text without control characters: a label or a file name does not get to steer the terminal.
std::string printable(std::string_view text);

/// printf's format in a string: format("%.1f s", seconds).
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

/// The text with spaces up to `width` columns (UTF-8 counted by character).
std::string padded(std::string_view text, std::size_t width);
std::size_t columns_of(std::string_view text);

/// "9.0 MiB"
std::string bytes_text(std::size_t bytes);
