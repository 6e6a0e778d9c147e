// Streams as queues that run as late as the rules allow: when somebody waits. A download's host memory holds poison until then, an
// upload's is compared with what it held when it was queued. Captures are recorded lists; time is made up.
#include "internal.h"
#include "sums.h"

#include <limpid/runtime/error.h>

#include <cstdlib>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <string_view>

namespace limpid::cuda {
namespace on_host {
namespace {

struct Range {
  const std::byte* begin = nullptr;
  std::size_t bytes = 0;
  bool overlaps(const Range& other) const { return begin < other.begin + other.bytes && other.begin < begin + bytes; }
};

struct Work {
  std::string name;
  std::function<void()> run;
  Range host_read = {}, host_written = {};
  std::uint64_t plan = 0;  // of a convolution: plan and operands
  bool event = false;
};

struct Recorded : CapturedGraph {
  int device = 0;
  std::shared_ptr<const std::vector<Work>> work;
};

thread_local int captures = 0;

Settings from_environment() {
  Settings s;
  const auto get = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  if (const auto v = get("LIMPID_HOST_CUDA_SEED"); !v.empty()) s.seed = std::stoull(v);
  if (const auto v = get("LIMPID_HOST_CUDA_MEMORY"); !v.empty()) s.memory = std::stoull(v);
  if (const auto v = get("LIMPID_HOST_CUDA_DEVICE"); !v.empty()) {
    const int version = v == "none" ? 0 : std::stoi(v.substr(3));  // "sm_75"
    s.major = version / 10;
    s.minor = version % 10;
  }
  if (const auto v = get("LIMPID_HOST_CUDA_FUSION"); !v.empty()) {
    constexpr std::string_view names[] = {"everything", "no_masks", "bare", "none"};
    s.fusion = static_cast<Fusion>(std::find(std::begin(names), std::end(names), v) - std::begin(names));
    if (s.fusion > Fusion::none) throw Trap("LIMPID_HOST_CUDA_FUSION: there is no '" + v + "'");
  }
  return s;
}

/// Made-up milliseconds that the named work takes, the same in every run of a seed: so that what is chosen by timing hangs on the seed.
double duration(const std::string& name) {
  return static_cast<double>(hash(std::as_bytes(std::span(name)), settings().seed) % 1000 + 1) / 1000;
}

}  // namespace

std::atomic<std::uint64_t> plans_run{0}, products_run{0}, kernels_run{0}, threads_run{0}, replays_run{0};

Settings& settings() {
  static Settings s = from_environment();
  return s;
}

Counts counts() { return {kernels_run, threads_run, plans_run, products_run, replays_run}; }

bool capturing() { return captures > 0; }

std::uint64_t hash(std::span<const std::byte> bytes, std::uint64_t seed) {
  std::uint64_t h = seed;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    h ^= h >> 29;
  }
  for (; i < bytes.size(); ++i) h = (h ^ static_cast<std::uint64_t>(bytes[i])) * 0x100000001b3u;
  return Random(h)();
}

/// What waits to run. Outlives the stream while an event points into it.
class Queue {
 public:
  explicit Queue(int device_) : device(device_) {}

  void add(Work work) {
    if (capture) {
      if (work.host_read.bytes || work.host_written.bytes) trap(work.name + " while the stream is captured");
      capture->push_back(std::move(work));
      return;
    }
    if (work.host_written.bytes && !read_later(work.host_written)) fill_with_poison(const_cast<std::byte*>(work.host_written.begin), work.host_written.bytes);
    waiting_.push_back(std::move(work));
  }

  /// Whether waiting work still reads (or writes) host memory.
  bool read_later(const Range& r) const {
    return std::any_of(waiting_.begin(), waiting_.end(), [&](const Work& w) { return w.host_read.overlaps(r); });
  }
  bool written_later(const Range& r) const {
    return std::any_of(waiting_.begin(), waiting_.end(), [&](const Work& w) { return w.host_written.overlaps(r); });
  }

  /// Who times a plan runs it again and again between events: what starts with a plan and equals what ran right before is not computed again.
  void skip_repetition() {
    const auto last = std::find_if(waiting_.rbegin(), waiting_.rend(), [](const Work& w) { return w.event; });
    const auto again = last - waiting_.rbegin();  // works behind the last event
    if (last == waiting_.rend() || again == 0 || waiting_.rend() - last <= again || !waiting_[waiting_.size() - static_cast<std::size_t>(again)].plan) return;
    for (std::ptrdiff_t i = 0; i < again; ++i) {
      const Work &now_work = waiting_.rbegin()[i], &before = last[1 + i];
      if (now_work.name != before.name || now_work.plan != before.plan || before.event) return;
    }
    for (std::ptrdiff_t i = 0; i < again; ++i) waiting_.rbegin()[i].run = [] {};
  }

  /// Runs what waits, up to where `enough` holds. What stands behind a failure is dropped.
  template <class Enough>
  void run(Enough enough) {
    try {
      while (!enough() && !waiting_.empty()) {
        const Work work = std::move(waiting_.front());
        waiting_.pop_front();
        work.run();
        now += duration(work.name);
        check_guards(work.name);
      }
    } catch (...) {
      waiting_.clear();
      throw;
    }
  }

  const int device;
  double now = 0;  // milliseconds
  std::shared_ptr<std::vector<Work>> capture;
  std::atomic<bool> entered{false};

 private:
  std::deque<Work> waiting_;
};

namespace {

/// A stream is used by one thread at a time.
class Entry {
 public:
  explicit Entry(Queue& queue) : queue_(queue) {
    if (queue_.entered.exchange(true)) trap("two threads use one stream at once");
  }
  ~Entry() { queue_.entered = false; }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

 private:
  Queue& queue_;
};

struct Mark {
  std::weak_ptr<Queue> queue;
  bool recorded = false, reached = false;
  double time = 0;
};

}  // namespace
}  // namespace on_host

using namespace on_host;

struct Stream::State {
  std::shared_ptr<Queue> queue;
};

namespace {

Queue& queue_of(const Stream& stream) { return *stream.state().queue; }

Range range(const void* p, std::size_t bytes) { return {static_cast<const std::byte*>(p), bytes}; }

}  // namespace

void on_host::queue(Stream& stream, std::string name, std::function<void()> run, std::uint64_t plan) {
  const Entry entry(queue_of(stream));
  queue_of(stream).add({std::move(name), std::move(run), {}, {}, plan});
}

void on_host::queue_kernel(Stream& stream, const void* kernel, dim3 grid, dim3 block, std::function<void()> check, std::function<void()> thread) {
  const std::string name = function_name(kernel);
  const auto size = [](dim3 d) { return text(d.x, 'x', d.y, 'x', d.z); };
  const bool fits = grid.x && grid.y && grid.z && grid.x <= 0x7fffffffu && grid.y <= 65535 && grid.z <= 65535 && block.x && block.y && block.z && block.x <= 1024 && block.y <= 1024 && block.z <= 64 &&
                    std::uint64_t{block.x} * block.y * block.z <= 1024;
  if (!fits) trap(text("kernel launch: invalid configuration argument (", name, ", grid ", size(grid), ", block ", size(block), ")"));
  const Entry entry(queue_of(stream));
  Queue& q = queue_of(stream);
  const std::string full = text(name, " (grid ", size(grid), ", block ", size(block), ")");
  q.add({full, [=, check = std::move(check), thread = std::move(thread)] {
           check();
           run_kernel(kernel, name, grid, block, thread, settings().seed * 1000003 + kernels_run++);
           threads_run += std::uint64_t{grid.x} * grid.y * grid.z * block.x * block.y * block.z;
         }});
}

Stream::Stream(int device) : state_(std::make_unique<State>()) {
  if (device < 0 || device >= static_cast<int>(device_list().size())) fail(ErrorCode::internal, "cudaSetDevice: invalid device ordinal ", device);
  state_->queue = std::make_shared<Queue>(device);
}
Stream::~Stream() {
  if (state_->queue->capture) --captures;  // what waits is dropped: nobody waited for it
}

int Stream::device() const { return state_->queue->device; }

void Stream::upload(void* device, const void* host, std::size_t bytes) {
  const Entry entry(queue_of(*this));
  if (!bytes) return;
  const std::string name = text("an upload of ", bytes, " bytes");
  require_device(device, bytes, name + ": the target");
  require_host(host, bytes, name + ": the source");
  Queue& q = queue_of(*this);
  const Range source = range(host, bytes);
  const bool known = !q.written_later(source);  // else an earlier download writes it first
  const std::uint64_t before = known ? hash({source.begin, bytes}) : 0;
  q.add({name,
         [=] {
           require_device(device, bytes, name + ": the target");
           if (known && hash({source.begin, bytes}) != before) trap(name + ": the host memory changed before the stream was synchronised");
           std::memcpy(device, host, bytes);
         },
         source,
         {}});
}

void Stream::download(void* host, const void* device, std::size_t bytes) {
  const Entry entry(queue_of(*this));
  if (!bytes) return;
  const std::string name = text("a download of ", bytes, " bytes");
  require_device(device, bytes, name + ": the source");
  require_host(host, bytes, name + ": the target");
  queue_of(*this).add({name,
                       [=] {
                         require_device(device, bytes, name + ": the source");
                         std::memcpy(host, device, bytes);
                       },
                       {},
                       range(host, bytes)});
}

void Stream::zero(void* device, std::size_t bytes) {
  const Entry entry(queue_of(*this));
  if (!bytes) return;
  const std::string name = text("zeroing ", bytes, " bytes");
  require_device(device, bytes, name);
  queue_of(*this).add({name, [=] {
                         require_device(device, bytes, name);
                         std::memset(device, 0, bytes);
                       }});
}

void Stream::synchronize() {
  Queue& q = queue_of(*this);
  const Entry entry(q);
  if (q.capture) trap("a stream is synchronised while it is captured");
  q.run([] { return false; });
}

void Stream::begin_capture() {
  Queue& q = queue_of(*this);
  const Entry entry(q);
  if (q.capture) trap("begin_capture: the stream is captured already");
  q.capture = std::make_shared<std::vector<Work>>();
  ++captures;
}

std::unique_ptr<CapturedGraph> Stream::end_capture() {
  Queue& q = queue_of(*this);
  const Entry entry(q);
  if (!q.capture) trap("end_capture: the stream is not captured");
  --captures;
  auto graph = std::make_unique<Recorded>();
  graph->device = q.device;
  graph->work = std::exchange(q.capture, nullptr);
  return graph;
}

void Stream::replay(const CapturedGraph& graph) {
  Queue& q = queue_of(*this);
  const Entry entry(q);
  const auto* recorded = dynamic_cast<const Recorded*>(&graph);
  if (!recorded) trap("replay: a graph of another kind");
  if (q.capture) trap("replay: the stream is captured");
  for (const Work& work : *recorded->work)  // the list lives as long as what waits
    q.add({work.name, [list = recorded->work, &work] { work.run(); }});
  ++replays_run;
}

Event::Event(int) : handle_(new std::shared_ptr<Mark>(std::make_shared<Mark>())) {}
Event::~Event() { delete static_cast<std::shared_ptr<Mark>*>(handle_); }

void Event::record(Stream& stream) {
  const Entry entry(queue_of(stream));
  if (queue_of(stream).capture) trap("an event is recorded while the stream is captured");
  auto& held = *static_cast<std::shared_ptr<Mark>*>(handle_);
  held = std::make_shared<Mark>();
  held->queue = stream.state().queue;
  held->recorded = true;
  queue_of(stream).skip_repetition();
  queue_of(stream).add({"an event", [mark = held, q = stream.state().queue.get()] {
                          mark->reached = true;
                          mark->time = q->now;
                        },
                        {}, {}, 0, true});
}

float Event::milliseconds_since(const Event& start) const {
  const auto reach = [](const Event& event) -> const Mark& {
    const Mark& mark = **static_cast<std::shared_ptr<Mark>*>(event.handle_);
    if (!mark.recorded) trap("milliseconds_since: an event that was never recorded");
    if (mark.reached) return mark;
    const auto queue = mark.queue.lock();
    if (!queue) trap("milliseconds_since: the event's stream is gone, and nobody waited for it");
    const Entry entry(*queue);
    if (queue->capture) trap("milliseconds_since: the stream is captured");
    queue->run([&] { return mark.reached; });
    return mark;
  };
  const double from = reach(start).time, to = reach(*this).time;
  if (to < from) trap("milliseconds_since: the events are in the wrong order");
  return static_cast<float>(to - from);
}

}  // namespace limpid::cuda
