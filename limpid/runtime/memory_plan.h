#pragma once
// Buffers with lifetimes, laid into one slab.
#include <cstddef>
#include <span>
#include <vector>

namespace limpid {

struct BufferRequest {
  std::size_t bytes = 0;
  int first = 0, last = 0;  // the first and last step at which it is alive, both inclusive
};

struct MemoryPlan {
  std::vector<std::size_t> offsets;  // aligned to 64 bytes, one a request
  std::size_t bytes = 0;             // the slab's size
};

/// Greedy by size: the largest buffer first, each at the lowest offset where no buffer alive at the same time lies
/// (Pisarchyk & Lee 2020, arXiv:2001.03288). `share` = false gives every buffer its own place.
MemoryPlan plan_memory(std::span<const BufferRequest> requests, bool share = true);

}  // namespace limpid
