// Device and pinned memory with guard zones on both sides. Zones and fresh memory hold poison; the address sanitizer watches the zones too.
#include "internal.h"
#include "sums.h"

#include <limpid/runtime/error.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <mutex>
#include <shared_mutex>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) (static_cast<void>(p), static_cast<void>(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) (static_cast<void>(p), static_cast<void>(n))
#endif

namespace limpid::cuda {
namespace on_host {
namespace {

constexpr std::size_t guard = 4096;
constexpr int pinned = -1;

struct Allocation {
  std::byte* begin = nullptr;
  std::size_t bytes = 0;
  int device = pinned;
  std::byte* block = nullptr;
  std::size_t block_bytes = 0;
  std::byte* end() const { return begin + bytes; }
};

std::shared_mutex mutex;
std::map<const std::byte*, Allocation> live;  // by begin
std::size_t used = 0;                         // bytes of the device

/// What is wrong beside an allocation, or nothing.
std::string damage(const Allocation& a) {
  const char* kind = a.device == pinned ? "pinned" : "device";
  if (const auto* p = not_poison(a.block, a.begin)) return text("something wrote ", a.begin - p, " bytes before ", kind, " memory of ", a.bytes, " bytes");
  if (const auto* p = not_poison(a.end(), a.block + a.block_bytes)) return text("something wrote ", p - a.end(), " bytes behind the end of ", kind, " memory of ", a.bytes, " bytes");
  return {};
}

/// For what a destructor finds, which cannot throw.
[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "CUDA on the host: %s\n", what.c_str());
  std::abort();
}

const Allocation* find(const void* p) {
  const auto* at = static_cast<const std::byte*>(p);
  auto next = live.upper_bound(at);
  if (next == live.begin()) return nullptr;
  const Allocation& a = std::prev(next)->second;
  return at <= a.end() ? &a : nullptr;
}

std::byte* allocate(std::size_t bytes, int device) {
  if (capturing()) trap(text("memory is allocated while a stream is captured (", bytes, " bytes)"));
  Allocation a;
  a.bytes = bytes;
  a.device = device;
  a.block_bytes = (2 * guard + 512 + bytes + 511) / 512 * 512;
  a.block = static_cast<std::byte*>(std::aligned_alloc(512, a.block_bytes));
  if (!a.block) fail(ErrorCode::out_of_memory, "The host has no memory for ", bytes, " bytes of the stand-in's device.");
  a.begin = a.block + guard + 256;  // 256 bytes, and no more: what needs a wider alignment fails here
  fill_with_poison(a.block, a.block_bytes);
  ASAN_POISON_MEMORY_REGION(a.block, static_cast<std::size_t>(a.begin - a.block));
  ASAN_POISON_MEMORY_REGION(a.end(), static_cast<std::size_t>(a.block + a.block_bytes - a.end()));
  const std::unique_lock lock(mutex);
  live.emplace(a.begin, a);
  if (device != pinned) used += bytes;
  ++memory_generation;
  return a.begin;
}

void release(std::byte* begin) {
  if (!begin) return;
  if (capturing() && !std::uncaught_exceptions()) die("memory is freed while a stream is captured");
  const std::unique_lock lock(mutex);
  const auto it = live.find(begin);
  const Allocation a = it->second;
  live.erase(it);
  ++memory_generation;
  if (a.device != pinned) used -= a.bytes;
  if (const std::string what = damage(a); !what.empty()) die(what + "; seen when it was freed");
  ASAN_UNPOISON_MEMORY_REGION(a.block, a.block_bytes);
  fill_with_poison(a.block, a.block_bytes);
  std::free(a.block);
}

}  // namespace

std::atomic<std::uint64_t> memory_generation{1};

void require_device(const void* p, std::size_t bytes, const std::string& what) {
  const std::shared_lock lock(mutex);
  const Allocation* a = find(p);
  if (!a || a->device == pinned) trap(text(what, " (", bytes, " bytes) is not in device memory"));
  const auto room = static_cast<std::size_t>(a->end() - static_cast<const std::byte*>(p));
  if (bytes > room) trap(text(what, " (", bytes, " bytes) reaches ", bytes - room, " bytes beyond the end of device memory of ", a->bytes, " bytes"));
}

void require_host(const void* p, std::size_t bytes, const std::string& what) {
  if (!bytes) return;
  const std::shared_lock lock(mutex);
  const auto* from = static_cast<const std::byte*>(p);
  const auto on_device = [&](const void* q) {
    const Allocation* a = find(q);
    return a && a->device != pinned && static_cast<const std::byte*>(q) < a->end();
  };
  if (!p || on_device(from) || on_device(from + bytes - 1)) trap(text(what, " (", bytes, " bytes) is not in host memory"));
}

void check_guards(const std::string& after) {
  std::string what;
  {
    const std::shared_lock lock(mutex);
    for (const auto& [begin, a] : live)
      if (what = damage(a); !what.empty()) {  // said once
        fill_with_poison(a.block, static_cast<std::size_t>(a.begin - a.block));
        fill_with_poison(a.end(), static_cast<std::size_t>(a.block + a.block_bytes - a.end()));
        break;
      }
  }
  if (!what.empty()) trap(what + "; seen after " + after);
}

Extent allocation_of(const void* p) {
  const std::shared_lock lock(mutex);
  const Allocation* a = find(p);
  return a && a->device != pinned ? Extent{a->begin, a->end()} : Extent{};
}

std::size_t used_memory() {
  const std::shared_lock lock(mutex);
  return used;
}

}  // namespace on_host

DeviceMemory::DeviceMemory(int device, std::size_t bytes) : device_(device), bytes_(bytes) {
  if (device < 0 || device >= static_cast<int>(device_list().size())) fail(ErrorCode::internal, "cudaMalloc: invalid device ordinal ", device);
  if (const std::size_t left = free_memory(device); bytes > left)
    fail(ErrorCode::out_of_memory, "The device has no memory for ", bytes, " bytes; ", left, " are free.");
  data_ = on_host::allocate(bytes, device);
}
DeviceMemory::~DeviceMemory() { on_host::release(data_); }

PinnedMemory::PinnedMemory(std::size_t bytes) : bytes_(bytes) { data_ = on_host::allocate(bytes, on_host::pinned); }
PinnedMemory::~PinnedMemory() { on_host::release(data_); }

std::size_t free_memory(int) {
  const std::size_t used = on_host::used_memory(), all = on_host::settings().memory;
  return used < all ? all - used : 0;
}

}  // namespace limpid::cuda
