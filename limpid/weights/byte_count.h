#pragma once
// The size of a tensor that a file claims to hold, computed before the claim is believed.
#include <limpid/runtime/dtype.h>
#include <limpid/runtime/shape.h>

#include <cstddef>
#include <limits>
#include <optional>

namespace limpid {

/// The bytes of a tensor with this shape of non-negative extents. Nothing when they overflow 63 bits, or would but for an extent of 0:
/// Shape::numel multiplies in order and must not overflow on the way.
inline std::optional<std::size_t> byte_count(const Shape& shape, DType dtype) {
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max());
  std::size_t bytes = size_of(dtype);
  bool empty = false;
  for (const auto extent : shape) {
    if (extent == 0) empty = true;
    else if (bytes > most / static_cast<std::size_t>(extent)) return std::nullopt;
    else bytes *= static_cast<std::size_t>(extent);
  }
  return empty ? 0 : bytes;
}

}  // namespace limpid
