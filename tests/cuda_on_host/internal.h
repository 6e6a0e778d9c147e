#pragma once
// What the stand-in's own files share.
#include "on_host.h"

#include <limpid/cuda/launch.h>

#include <atomic>
#include <span>
#include <sstream>
#include <utility>
#include <vector>

namespace limpid::cuda::on_host {

// ---- memory.cpp
/// Traps unless `bytes` from p on lie in one live device allocation. `what` names the argument.
void require_device(const void* p, std::size_t bytes, const std::string& what);
/// Traps when any of `bytes` from p on is device memory.
void require_host(const void* p, std::size_t bytes, const std::string& what);
/// Traps when anything was written beside an allocation; `after` names what ran last.
void check_guards(const std::string& after);
/// The device allocation [begin, end) that p lies in; empty where there is none.
struct Extent { const std::byte* begin = nullptr; const std::byte* end = nullptr; };
Extent allocation_of(const void* p);
/// Grows with every allocation and every release.
extern std::atomic<std::uint64_t> memory_generation;

// ---- symbols.cpp
/// The name of a function of this program, as a reader would write it.
std::string function_name(const void* function);
struct SharedVariable { std::string name; std::ptrdiff_t offset; std::size_t bytes; };
/// All `__shared__` variables, as offsets from `anchor` in each thread's memory.
const std::vector<SharedVariable>& shared_variables();
extern constinit thread_local char anchor;
/// Bytes of the shared variables that stand in the kernel itself.
std::size_t shared_bytes(const void* kernel);

// ---- block.cpp
void run_kernel(const void* kernel, const std::string& name, dim3 grid, dim3 block, const std::function<void()>& thread, std::uint64_t seed);

// ---- streams.cpp
/// Whether this thread is capturing a stream.
bool capturing();
/// `plan`: of a convolution, a hash of its operands; else 0.
void queue(Stream& stream, std::string name, std::function<void()> run, std::uint64_t plan = 0);
extern std::atomic<std::uint64_t> plans_run, products_run, kernels_run, threads_run, replays_run;

/// A small generator (SplitMix64) for orders.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t operator()() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>((*this)() % n); }
  template <class T>
  void shuffle(std::vector<T>& v) {
    for (std::size_t i = v.size(); i > 1; --i) std::swap(v[i - 1], v[below(i)]);
  }

 private:
  std::uint64_t state_;
};

std::uint64_t hash(std::span<const std::byte> bytes, std::uint64_t seed = 0xcbf29ce484222325u);

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace limpid::cuda::on_host
