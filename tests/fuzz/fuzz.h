#pragma once
// What the fuzz targets share. A target gets bytes that may be anything. The reader may refuse them with limpid::Error, in one line of plain
// text; every other exception, every touch of memory that is not its own, and every overflow ends the program and is a finding.
#include <limpid/runtime/error.h>
#include <limpid/runtime/tensor.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace limpid::fuzz {

/// Reads every byte, so that a view of memory that is not the file's is noticed.
inline void touch(std::span<const std::byte> bytes) {
  std::uint8_t sum = 0;
  for (const std::byte b : bytes) sum = static_cast<std::uint8_t>(sum + std::to_integer<std::uint8_t>(b));
  static volatile std::uint8_t sink;
  sink = sum;
}

inline void touch(const std::map<std::string, Tensor>& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (reinterpret_cast<std::uintptr_t>(tensor.raw()) % size_of(tensor.dtype()) != 0) std::abort();
    touch(std::span(static_cast<const std::byte*>(tensor.raw()), tensor.bytes()));
  }
}

/// Calls read(bytes) as a program would.
template <class F>
int attempt(const std::uint8_t* data, std::size_t size, F&& read) {
  try {
    read(std::as_bytes(std::span(data, size)));
  } catch (const Error& error) {
    const std::string_view message = error.what();
    if (message.empty() || message.size() > 2000 || error.code() == ErrorCode::internal) std::abort();
    for (const char c : message)
      if (c < ' ' || c > '~') std::abort();
  }
  return 0;
}

}  // namespace limpid::fuzz
