// Runs a kernel: blocks one after the other, in a shuffled order. A fiber runs the threads of a block one by one, in a shuffled order too,
// until one has to wait for others; that thread keeps the fiber, and another fiber goes on with the rest. So a kernel that never waits
// needs one fiber. Threads that met are let go in a shuffled order, and of several groups that are complete not always all.
#include "internal.h"
#include "sums.h"

#include <limpid/runtime/error.h>

#include <boost/context/detail/fcontext.hpp>

#include <deque>
#include <exception>
#include <memory>

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
inline void __sanitizer_start_switch_fiber(void**, const void*, std::size_t) {}
inline void __sanitizer_finish_switch_fiber(void*, const void**, std::size_t*) {}
#define ASAN_UNPOISON_MEMORY_REGION(p, n) (static_cast<void>(p), static_cast<void>(n))
#endif

constinit thread_local uint3 threadIdx{}, blockIdx{};
constinit thread_local dim3 blockDim{}, gridDim{};

namespace limpid::cuda::on_host {
namespace {

namespace context = boost::context::detail;

class Machine;

struct Fiber {
  static constexpr std::size_t bytes = 256 << 10, page = 4096;  // only what is touched takes memory; the lowest page is none
  explicit Fiber(Machine& m) : machine(m) {
    stack = static_cast<std::byte*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (stack == MAP_FAILED) fail(ErrorCode::out_of_memory, "The host has no memory for the stack of a stand-in's thread.");
    mprotect(stack, page, PROT_NONE);
  }
  ~Fiber() {
    ASAN_UNPOISON_MEMORY_REGION(stack, bytes);
    munmap(stack, bytes);
  }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  Machine& machine;
  std::byte* stack;
  context::fcontext_t at = nullptr;
};

enum class Stage : std::uint8_t { fresh, waiting, ready, done };

struct Thread {
  Fiber* fiber = nullptr;
  Meeting meeting;
  std::uint64_t result = 0;
};

/// Runs blocks for one thread of the host.
class Machine {
 public:
  void run(const void* kernel, const std::string& name, dim3 grid, dim3 block, const std::function<void()>& body, std::uint64_t seed);
  std::uint64_t meet(const Meeting& meeting);
  bool running() const { return body_ != nullptr; }
  /// " in kernel<float>, block 3,0,0, thread 17,0,0"
  std::string place() const { return running() ? text(" in ", *name_, position("block", blockIdx), position("thread", threadIdx)) : ""; }
  /// Whether p lies on the stack of the fiber that is running.
  bool own(const void* p) const {
    const auto* at = static_cast<const std::byte*>(p);
    return now_ && at >= now_->stack && at < now_->stack + Fiber::bytes;
  }

 private:
  static std::string position(const char* what, uint3 p) { return text(", ", what, ' ', p.x, ',', p.y, ',', p.z); }
  uint3 index(std::size_t thread) const {
    const auto i = static_cast<unsigned>(thread);
    return {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
  }
  void run_block();
  void resume(Fiber& fiber);
  void leave(Fiber& fiber);
  [[noreturn]] void work(Fiber& fiber);
  static void enter(context::transfer_t from);
  void make(Fiber& fiber);
  void abandon();
  void release_those_who_met();
  bool warp_met(std::size_t thread, std::vector<std::size_t>& group) const;
  void let_go(const std::vector<std::size_t>& group);
  [[noreturn]] void stuck() const;
  std::string describe(std::size_t thread) const;

  // The launch.
  const std::function<void()>* body_ = nullptr;
  const std::string* name_ = nullptr;
  Random random_{0};
  // The block. Threads are counted x first.
  std::size_t count_ = 0, next_ = 0, current_ = 0;
  std::vector<std::size_t> order_, ready_;
  std::vector<Stage> stages_;
  std::vector<Thread> threads_;
  std::exception_ptr error_;
  // Fibers, and the stack of the thread itself.
  std::deque<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  Fiber* now_ = nullptr;
  context::fcontext_t main_ = nullptr;
  const void* main_stack_ = nullptr;
  std::size_t main_bytes_ = 0;
};

thread_local Machine machine;

void Machine::enter(context::transfer_t from) {
  auto& fiber = *static_cast<Fiber*>(from.data);
  Machine& m = fiber.machine;
  m.main_ = from.fctx;
  __sanitizer_finish_switch_fiber(nullptr, &m.main_stack_, &m.main_bytes_);
  m.work(fiber);
}

void Machine::work(Fiber& fiber) {
  for (;;) {
    try {
      while (next_ < count_ && !error_) {
        const std::size_t thread = current_ = order_[next_++];
        threads_[thread].fiber = &fiber;
        threadIdx = index(thread);
        (*body_)();
        stages_[thread] = Stage::done;
      }
    } catch (...) {
      error_ = std::current_exception();
    }
    idle_.push_back(&fiber);
    leave(fiber);
  }
}

void Machine::resume(Fiber& fiber) {
  void* fake = nullptr;
  now_ = &fiber;
  __sanitizer_start_switch_fiber(&fake, fiber.stack, Fiber::bytes);
  fiber.at = context::jump_fcontext(fiber.at, &fiber).fctx;
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
  now_ = nullptr;
}

void Machine::leave([[maybe_unused]] Fiber& fiber) {
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, main_stack_, main_bytes_);
  main_ = context::jump_fcontext(main_, nullptr).fctx;
  __sanitizer_finish_switch_fiber(fake, &main_stack_, &main_bytes_);
}

void Machine::make(Fiber& fiber) {
  ASAN_UNPOISON_MEMORY_REGION(fiber.stack, Fiber::bytes);
  fiber.at = context::make_fcontext(fiber.stack + Fiber::bytes, Fiber::bytes, &Machine::enter);
}

/// After an error: threads that wait will never go on. Their stacks hold nothing that needs a destructor.
void Machine::abandon() {
  idle_.clear();
  for (auto& fiber : fibers_) {
    make(*fiber);
    idle_.push_back(fiber.get());
  }
}

std::uint64_t Machine::meet(const Meeting& meeting) {
  if (!now_) throw Trap("a thread of a kernel waits for others, but no kernel runs");
  const std::size_t thread = current_;
  if (meeting.kind != Meeting::barrier && !(meeting.mask >> (thread % 32) & 1u)) trap(text("lane ", thread % 32, " is not in its own mask ", std::hex, meeting.mask));
  threads_[thread].meeting = meeting;
  stages_[thread] = Stage::waiting;
  leave(*now_);
  current_ = thread;
  threadIdx = index(thread);
  return threads_[thread].result;
}

void Machine::run_block() {
  std::fill(stages_.begin(), stages_.end(), Stage::fresh);
  next_ = 0;
  ready_.clear();
  for (;;) {
    if (!ready_.empty()) {
      const std::size_t thread = ready_.back();
      ready_.pop_back();
      resume(*threads_[thread].fiber);
    } else if (next_ < count_) {
      if (idle_.empty()) {
        fibers_.push_back(std::make_unique<Fiber>(*this));
        make(*fibers_.back());
        idle_.push_back(fibers_.back().get());
      }
      Fiber& fiber = *idle_.back();
      idle_.pop_back();
      resume(fiber);
    } else {
      release_those_who_met();
      if (ready_.empty()) return;
    }
    if (error_) {
      abandon();
      std::rethrow_exception(std::exchange(error_, nullptr));
    }
  }
}

/// Every thread is done or waits.
void Machine::release_those_who_met() {
  std::vector<std::vector<std::size_t>> groups;
  std::vector<std::size_t> at_barrier, all;
  std::vector<bool> seen(count_);
  for (std::size_t t = 0; t < count_; ++t) {
    if (stages_[t] != Stage::waiting || seen[t]) continue;
    all.push_back(t);
    if (threads_[t].meeting.kind == Meeting::barrier) {
      at_barrier.push_back(t);
      continue;
    }
    std::vector<std::size_t> group;
    if (warp_met(t, group)) groups.push_back(group);
    for (const std::size_t member : group) seen[member] = true;
  }
  if (all.empty()) return;
  const auto same_call = [&](std::size_t t) {
    const auto &a = threads_[t].meeting.where, &b = threads_[at_barrier.front()].meeting.where;
    return a.line() == b.line() && a.column() == b.column() && std::string_view(a.file_name()) == b.file_name();
  };
  if (groups.empty()) {
    if (at_barrier.size() != all.size() || !std::all_of(at_barrier.begin(), at_barrier.end(), same_call)) stuck();
    groups.push_back(at_barrier);
  }
  random_.shuffle(groups);
  const std::size_t most = groups.size() > 1 ? 1 + random_.below(groups.size()) : 1;
  for (std::size_t g = 0; g < most; ++g) let_go(groups[g]);
  random_.shuffle(ready_);
}

/// Whether all whom the thread's mask names, but for those that are done, wait in the same call. `group`: those, if so; else the thread.
bool Machine::warp_met(std::size_t thread, std::vector<std::size_t>& group) const {
  const Meeting& mine = threads_[thread].meeting;
  group = {thread};
  std::vector<std::size_t> members;
  for (std::size_t lane = 0; lane < 32; ++lane) {
    const std::size_t other = thread / 32 * 32 + lane;
    if (!(mine.mask >> lane & 1u) || other >= count_ || stages_[other] == Stage::done) continue;
    if (stages_[other] != Stage::waiting) return false;
    const Meeting& theirs = threads_[other].meeting;
    const bool same = theirs.kind == mine.kind && theirs.mask == mine.mask && theirs.where.line() == mine.where.line() && theirs.where.column() == mine.where.column() &&
                      std::string_view(theirs.where.file_name()) == mine.where.file_name();
    if (!same) return false;
    members.push_back(other);
  }
  group = std::move(members);
  return true;
}

void Machine::let_go(const std::vector<std::size_t>& group) {
  std::uint64_t common = 0;
  for (const std::size_t t : group) {
    const Meeting& m = threads_[t].meeting;
    if (m.kind == Meeting::barrier) common += m.value != 0;
    if (m.kind == Meeting::ballot) common |= std::uint64_t{m.value != 0} << (t % 32);
  }
  for (const std::size_t t : group) {
    const Meeting& m = threads_[t].meeting;
    threads_[t].result = common;
    if (m.kind == Meeting::shuffle) {
      const std::size_t from = t / 32 * 32 + static_cast<std::size_t>(m.lane);
      if (std::find(group.begin(), group.end(), from) == group.end())
        throw Trap(text("a shuffle at ", m.where.file_name(), ':', m.where.line(), " reads lane ", m.lane, ", which does not take part,", describe(t), " of ", *name_));
      threads_[t].result = threads_[from].meeting.value;
    }
    stages_[t] = Stage::ready;
    ready_.push_back(t);
  }
}

std::string Machine::describe(std::size_t thread) const {
  const Meeting& m = threads_[thread].meeting;
  const uint3 p = index(thread);
  std::string what = text(" thread ", p.x, ',', p.y, ',', p.z);
  if (stages_[thread] != Stage::waiting) return what;
  constexpr const char* kinds[] = {"__syncthreads", "__syncwarp", "a shuffle", "a ballot"};
  what += text(" at ", kinds[m.kind], ", ", m.where.file_name(), ':', m.where.line());
  if (m.kind != Meeting::barrier) what += text(", mask ", std::hex, m.mask);
  return what;
}

void Machine::stuck() const {
  std::string what = text("threads wait for each other in different places in ", *name_, position("block", blockIdx), ":");
  const Meeting* last = nullptr;
  int told = 0;
  for (std::size_t t = 0; t < count_ && told < 4; ++t) {
    if (stages_[t] != Stage::waiting) continue;
    const Meeting& m = threads_[t].meeting;
    if (last && last->kind == m.kind && last->mask == m.mask && last->where.line() == m.where.line()) continue;
    what += text(told ? ";" : "", describe(t));
    last = &m;
    ++told;
  }
  throw Trap(what);
}

void Machine::run(const void* kernel, const std::string& name, dim3 grid, dim3 block, const std::function<void()>& body, std::uint64_t seed) {
  if (const std::size_t bytes = shared_bytes(kernel); bytes > 48 << 10) throw Trap(text(name, " has ", bytes, " bytes of shared memory; 49152 are the most"));
  random_ = Random(seed);
  name_ = &name;
  body_ = &body;
  gridDim = grid;
  blockDim = block;
  count_ = std::size_t{block.x} * block.y * block.z;
  order_.resize(count_);
  for (std::size_t i = 0; i < count_; ++i) order_[i] = i;
  stages_.resize(count_);
  threads_.resize(count_);
  std::vector<std::uint32_t> blocks(std::size_t{grid.x} * grid.y * grid.z);
  for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<std::uint32_t>(i);
  random_.shuffle(blocks);
  random_.shuffle(order_);
  std::exception_ptr failed;
  try {
    for (const std::uint32_t b : blocks) {
      blockIdx = {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
      std::rotate(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(random_.below(count_)), order_.end());
      for (const auto& variable : shared_variables()) fill_with_poison(&anchor + variable.offset, variable.bytes);
      run_block();
    }
  } catch (...) {
    if (idle_.size() != fibers_.size()) abandon();
    failed = std::current_exception();
  }
  body_ = nullptr;
  if (failed) std::rethrow_exception(failed);
}

}  // namespace

std::uint64_t meet(const Meeting& meeting) { return machine.meet(meeting); }

void trap(const std::string& what) { throw Trap(what + machine.place()); }

void run_kernel(const void* kernel, const std::string& name, dim3 grid, dim3 block, const std::function<void()>& thread, std::uint64_t seed) {
  machine.run(kernel, name, grid, block, thread, seed);
}

namespace {
struct Recent { const std::byte* begin; const std::byte* end; };
constinit thread_local Recent recent[8]{};
constinit thread_local std::uint64_t recent_generation = 0;
constinit thread_local unsigned recent_next = 0;
}  // namespace

void check_access(const void* p, std::size_t bytes, std::size_t alignment) {
  const auto* at = static_cast<const std::byte*>(p);
  if (reinterpret_cast<std::uintptr_t>(p) % alignment) trap(text("an access of ", bytes, " bytes at an address that is no multiple of ", alignment, " (", p, ")"));
  if (const auto generation = memory_generation.load(std::memory_order_relaxed); generation != recent_generation) {
    std::fill(std::begin(recent), std::end(recent), Recent{});
    recent_generation = generation;
  }
  for (const Recent& r : recent)
    if (r.begin <= at && at + bytes <= r.end) return;
  if (const Extent e = allocation_of(p); e.begin) {
    if (at + bytes > e.end) trap(text("an access of ", bytes, " bytes reaches beyond the end of device memory of ", e.end - e.begin, " bytes, at offset ", at - e.begin));
    recent[recent_next++ % 8] = {e.begin, e.end};
    return;
  }
  for (const auto& variable : shared_variables()) {
    const auto* begin = reinterpret_cast<const std::byte*>(&anchor) + variable.offset;
    if (begin <= at && at + bytes <= begin + variable.bytes) return;
  }
  if (!machine.own(p)) trap(text("an access of ", bytes, " bytes outside of device memory (", p, ")"));
}

void check_argument(const void* kernel, std::size_t number, const void* p) {
  if (p && !allocation_of(p).begin) trap(text("argument ", number, " of ", function_name(kernel), " does not point to device memory"));
}

}  // namespace limpid::cuda::on_host
