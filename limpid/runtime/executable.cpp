#include <limpid/runtime/executable.h>
#include <limpid/runtime/parallel.h>

#include <algorithm>
#include <sstream>
#include <thread>

namespace limpid {
namespace {

std::string bytes_text(std::size_t bytes) {
  std::ostringstream out;
  out.precision(1);
  if (bytes < 1 << 20) out << std::fixed << static_cast<double>(bytes) / (1 << 10) << " KiB";
  else out << std::fixed << static_cast<double>(bytes) / (1 << 20) << " MiB";
  return out.str();
}

std::size_t bytes_of(Precision p) { return p == Precision::f64 ? 8 : p == Precision::bf16 || p == Precision::f16 ? 2 : 4; }

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Takes a workspace from the idle ones and gives it back, so that a run neither allocates nor touches fresh pages.
class Lease {
 public:
  Lease(const Program& program, std::mutex& mutex, std::vector<std::unique_ptr<Workspace>>& idle) : mutex_(mutex), idle_(idle) {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        workspace_ = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (!workspace_) workspace_ = program.make_workspace();
  }
  ~Lease() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) idle_.push_back(std::move(workspace_));  // one is kept; a second thread's goes back to the system
  }
  Workspace& operator*() { return *workspace_; }

 private:
  std::mutex& mutex_;
  std::vector<std::unique_ptr<Workspace>>& idle_;
  std::unique_ptr<Workspace> workspace_;
};

}  // namespace

Executable::Executable(const Graph& graph, std::vector<int> outputs, CompileOptions options) : options_(std::move(options)), choice_(choose_backend(options_.device)) {
  if (!choice_.backend) fail(ErrorCode::not_found, "This build of limpid has no backend for the device '", options_.device, "'.");
  require(options_.internal_batch_size >= 0, "internal_batch_size is negative; use 0 to let limpid choose.");
  options_.threads = std::min(options_.threads, std::max(1, static_cast<int>(std::thread::hardware_concurrency())));  // more only wait for each other
  precision_ = options_.precision == Precision::automatic ? Precision::f32 : options_.precision;
  if (!choice_.backend->supports(precision_))
    fail(ErrorCode::unsupported, "The ", choice_.backend->name(), " backend cannot compute in ", name_of(precision_), " on this machine; `limpid devices` lists what it can.");
  budget_ = options_.max_memory ? options_.max_memory : choice_.backend->default_budget();
  graph_ = passes::run_all(graph, outputs, options_.passes, precision_ == Precision::f64 ? DType::f64 : DType::f32);
  outputs_ = std::move(outputs);
  schedule_ = make_schedule(*graph_, outputs_);
}

/// The most samples, up to `samples`, that fit the budget with a sweep chunk of one row.
std::int64_t Executable::fitting_batch(std::int64_t samples) const {
  const std::size_t element = bytes_of(precision_);
  const auto fits = [&](std::int64_t n) { return estimate_bytes(*graph_, schedule_, n, graph_->sweep() ? 1 : 0, element, choice_.backend->index_bytes(), options_.passes.plan_memory) <= budget_; };
  std::int64_t low = 1, high = std::min(samples, most_samples_.load());
  while (low < high) {
    const std::int64_t middle = (low + high + 1) / 2;
    (fits(middle) ? low : high) = fits(middle) ? middle : middle - 1;
  }
  return low;
}

const Executable::Compiled& Executable::compiled(std::int64_t batch) const {
  const std::lock_guard lock(mutex_);
  auto& slot = compiled_[batch];
  if (slot) return *slot;

  const ThreadScope threads(options_.threads);
  auto fresh = std::make_unique<Compiled>();
  fresh->batch = batch;
  const std::int64_t rows = batch * graph_->sweep();
  const std::size_t element = bytes_of(precision_);
  if (rows > 0) {
    // The largest chunk that fits by the plan in plain layout, then cut evenly so that the last pass is as full as the others.
    const auto bytes = [&](std::int64_t chunk) { return estimate_bytes(*graph_, schedule_, batch, chunk, element, choice_.backend->index_bytes(), options_.passes.plan_memory); };
    std::int64_t chunk = options_.internal_batch_size;
    if (!chunk) {
      const std::int64_t preferred = choice_.backend->preferred_chunk(precision_);
      const auto row = static_cast<std::int64_t>(bytes(2 * preferred) - bytes(preferred)) / preferred;
      chunk = std::clamp(static_cast<std::int64_t>(choice_.backend->pass_bytes()) / std::max<std::int64_t>(row, 1), preferred, 4 * preferred);
    }
    chunk = std::clamp<std::int64_t>(chunk, 1, rows);
    while (chunk > 1 && bytes(chunk) > budget_) chunk = divide_up(chunk, 2);
    fresh->chunk = divide_up(rows, divide_up(rows, chunk));
  }
  for (;;) {
    fresh->program = choice_.backend->lower(graph_, outputs_, {precision_, choice_.device_index, batch, fresh->chunk, options_.passes.plan_memory, options_.passes.fuse_relu_backward});
    const std::size_t needed = fresh->program->workspace_bytes();
    if (needed <= budget_) {
      try {
        fresh->idle.push_back(fresh->program->make_workspace());
        break;
      } catch (const Error& e) {  // the device has less than the budget: half the rows, as long as there are any to leave out
        if (e.code() != ErrorCode::out_of_memory || fresh->chunk <= 1) throw;
        fresh->chunk = divide_up(rows, divide_up(rows, divide_up(fresh->chunk, 2)));
        continue;
      }
    }
    if (fresh->chunk <= 1)
      fail(ErrorCode::out_of_memory, "One sample needs ", bytes_text(needed), " of workspace, more than the budget of ", bytes_text(budget_), "; raise max_memory (--max-memory).");
    // The backend's own layouts and scratchpads took more than the plan: shrink in proportion.
    const auto shrunk = static_cast<std::int64_t>(static_cast<double>(fresh->chunk) * static_cast<double>(budget_) / static_cast<double>(needed));
    fresh->chunk = divide_up(rows, divide_up(rows, std::clamp<std::int64_t>(shrunk, 1, fresh->chunk - 1)));
  }
  slot = std::move(fresh);
  return *slot;
}

/// Compiled for as many of the samples at once as fit; half of them where a layout or the device's memory leaves less room than the plan.
const Executable::Compiled& Executable::slice(std::int64_t samples) const {
  for (std::int64_t n = fitting_batch(samples);; n = divide_up(n, 2)) {
    try {
      return compiled(n);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::out_of_memory || n <= 1) throw;
      most_samples_ = divide_up(n, 2);
    }
  }
}

std::int64_t Executable::check(std::span<const Tensor> inputs) const {
  const auto& ids = graph_->inputs();
  require(inputs.size() == ids.size(), "Executable::run: ", inputs.size(), " inputs given, ", ids.size(), " needed.");
  std::int64_t samples = -1;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto& v = graph_->value(ids[i]);
    const Tensor& t = inputs[i];
    const bool batched = v.rows == Rows::batch;
    require(t.defined(), "Executable::run: input '", v.name, "' is empty.");
    const bool fits = batched ? t.shape().rank() == v.shape.rank() + 1 && t.shape().inner() == v.shape : t.shape() == v.shape;
    require(fits, "Executable::run: input '", v.name, "' has the shape ", t.shape(), "; ", v.shape, batched ? " per sample, behind the batch's extent, is needed." : " is needed.");
    const bool kind = v.kind == Kind::real ? t.dtype() == DType::f32 || t.dtype() == DType::f64 : t.dtype() == (v.kind == Kind::index ? DType::i64 : DType::f64);
    require(kind, "Executable::run: input '", v.name, "' cannot be ", name_of(t.dtype()), ".");
    if (!batched) continue;
    require(samples < 0 || samples == t.shape()[0], "Executable::run: the inputs differ in their number of samples: ", samples, " and ", t.shape()[0], " ('", v.name, "').");
    samples = t.shape()[0];
  }
  samples = samples < 0 ? 1 : samples;
  require(samples > 0, "Executable::run: the batch is empty.");
  return samples;
}

std::vector<Tensor> Executable::run(std::span<const Tensor> inputs, const RunOptions& options) const {
  const ThreadScope threads(options_.threads);
  const std::int64_t samples = check(inputs), at_once = slice(samples).batch, sweep = graph_->sweep();
  const auto step = [&](double done) {
    if (options.cancel && options.cancel->cancelled()) fail(ErrorCode::cancelled, "Cancelled.");
    if (options.progress) options.progress(done);
  };

  std::vector<std::vector<Tensor>> parts(outputs_.size());
  for (std::int64_t first = 0; first < samples; first += at_once) {
    const std::int64_t count = std::min(at_once, samples - first);
    const Compiled& c = compiled(count);
    Lease workspace(*c.program, c.mutex, c.idle);
    for (std::size_t seen = peak_.load(); c.program->workspace_bytes() > seen && !peak_.compare_exchange_weak(seen, c.program->workspace_bytes());) {}
    step(static_cast<double>(first) / static_cast<double>(samples));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const bool batched = graph_->value(graph_->inputs()[i]).rows == Rows::batch;
      c.program->upload(*workspace, static_cast<int>(i), batched ? inputs[i].rows(first, first + count) : inputs[i]);
    }
    c.program->run_batch(*workspace, count * sweep, c.chunk, [&](std::int64_t row) {
      step((static_cast<double>(first) + static_cast<double>(row) / static_cast<double>(sweep)) / static_cast<double>(samples));
    });
    for (std::size_t k = 0; k < outputs_.size(); ++k) parts[k].push_back(c.program->download(*workspace, static_cast<int>(k)));
  }
  step(1);
  std::vector<Tensor> results;
  for (const auto& p : parts) results.push_back(concatenate_rows(p));
  return results;
}

std::shared_ptr<const Executable> compile(const Graph& graph, std::span<const Value> outputs, const CompileOptions& options) {
  std::vector<int> ids;
  for (const Value& v : outputs) {
    require(v.graph == &graph && v.rows() == Rows::batch, "compile: an output must be a value of the graph that occurs once per sample (reduce a sweep first).");
    ids.push_back(v.id);
  }
  return std::make_shared<const Executable>(graph, std::move(ids), options);
}

std::shared_ptr<const Executable> CompileCache::get(const Graph& graph, std::span<const Value> outputs, const CompileOptions& o) {
  std::ostringstream text;
  text << graph.to_string() << "outputs";
  for (const Value& v : outputs) text << ' ' << v.id;
  text << '\n' << o.device << ' ' << name_of(o.precision) << ' ' << o.threads << ' ' << o.max_memory << ' ' << o.internal_batch_size << ' ' << o.passes.fold_batch_norm
       << o.passes.closed_form << o.passes.hoist_linear << o.passes.fuse_convolution << o.passes.fuse_relu_backward << o.passes.keep_masks << o.passes.sum_before_linear << o.passes.crop_windows
       << o.passes.plan_memory;
  const std::string key = text.str();
  {
    const std::lock_guard lock(mutex_);
    for (auto it = entries_.begin(); it != entries_.end(); ++it)
      if (it->first == key) {
        std::rotate(it, it + 1, entries_.end());
        return entries_.back().second;
      }
  }
  auto fresh = compile(graph, outputs, o);  // outside the lock: compiling may take long
  const std::lock_guard lock(mutex_);
  entries_.emplace_back(key, fresh);
  if (entries_.size() > capacity_) entries_.erase(entries_.begin());
  return fresh;
}

}  // namespace limpid
