#include <limpid/runtime/memory_plan.h>

#include <algorithm>
#include <numeric>

namespace limpid {

MemoryPlan plan_memory(std::span<const BufferRequest> requests, bool share) {
  MemoryPlan plan;
  plan.offsets.resize(requests.size());
  std::vector<std::size_t> order(requests.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return requests[a].bytes > requests[b].bytes; });

  std::vector<std::size_t> placed;  // by rising offset
  for (const auto i : order) {
    const BufferRequest& r = requests[i];
    const std::size_t bytes = (r.bytes + 63) / 64 * 64;
    std::size_t offset = 0;
    for (const auto j : placed) {
      const BufferRequest& other = requests[j];
      if (share && (other.last < r.first || r.last < other.first)) continue;  // never alive together
      if (plan.offsets[j] >= offset + bytes) break;                          // it fits before this one
      offset = std::max(offset, plan.offsets[j] + (other.bytes + 63) / 64 * 64);
    }
    plan.offsets[i] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), offset, [&](std::size_t o, std::size_t j) { return o < plan.offsets[j]; }), i);
  }
  return plan;
}

}  // namespace limpid
