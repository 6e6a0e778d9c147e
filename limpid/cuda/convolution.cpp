#include <limpid/cuda/convolution.h>
#include <limpid/cuda/kernels/convolution_epilogue.h>
#include <limpid/cuda/kernels/depthwise.h>
#include <limpid/cuda/kernels/elementwise.h>
#include <limpid/cuda/plan_cache.h>
#include <limpid/runtime/error.h>
#include <limpid/runtime/tensor.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>

namespace limpid::cuda {
namespace {

using Plan = std::unique_ptr<ConvolutionPlan>;

/// The library's plan for a part, and one kernel for the rest, in place.
class CompositePlan : public ConvolutionPlan {
 public:
  CompositePlan(const ConvolutionPattern& whole, const ConvolutionPart& part, Plan library) : whole_(whole), part_(part), library_(std::move(library)) {}

  std::size_t workspace_bytes() const override { return library_->workspace_bytes(); }
  DType bias_type() const override { return part_.planned.bias ? library_->bias_type() : DType::f32; }
  std::string name() const override { return std::string(part_.name) + ": " + library_->name(); }

  void run(Stream& stream, const ConvolutionArguments& a) const override {
    const ConvolutionPattern& done = part_.planned;
    ConvolutionArguments library = a;
    if (!done.bias) library.bias = nullptr;
    if (!done.addend) library.addend = nullptr;
    if (!done.mask) library.mask = nullptr;
    library_->run(stream, library);

    kernels::Epilogue e;
    e.backward = whole_.backward;
    if (whole_.bias && !done.bias) e.bias = static_cast<const float*>(a.bias);
    if (whole_.addend && !done.addend) e.addend = a.addend;
    if (whole_.mask && !done.mask) e.mask = static_cast<std::uint8_t*>(a.mask);
    const bool only_mask = !whole_.backward && !e.bias && !e.addend && done.activation == whole_.activation;
    if (only_mask) {
      kernels::relu_mask(stream, a.out, whole_.type, whole_.activation, e.mask, whole_.out_elements());
    } else {
      e.activation = whole_.activation;
      kernels::convolution_epilogue(stream, a.out, whole_.type, e, whole_.out_elements(), whole_.backward ? whole_.channels : whole_.outputs);
    }
  }

 private:
  ConvolutionPattern whole_;
  ConvolutionPart part_;
  Plan library_;
};

class DepthwisePlan : public ConvolutionPlan {
 public:
  static constexpr std::string_view label = "own depthwise";
  explicit DepthwisePlan(const ConvolutionPattern& pattern) : pattern_(pattern) {}

  std::size_t workspace_bytes() const override { return 0; }
  DType bias_type() const override { return DType::f32; }
  std::string name() const override { return std::string(label); }

  void run(Stream& stream, const ConvolutionArguments& a) const override {
    kernels::Epilogue e;
    e.backward = pattern_.backward;
    if (pattern_.bias) e.bias = static_cast<const float*>(a.bias);
    if (pattern_.addend) e.addend = a.addend;
    if (pattern_.mask) e.mask = static_cast<std::uint8_t*>(a.mask);
    e.activation = pattern_.activation;
    kernels::depthwise(stream, pattern_, a.in, a.weight, a.out, e);
  }

 private:
  ConvolutionPattern pattern_;
};

Plan compose(const ConvolutionPattern& whole, const ConvolutionPart& part, Plan library) {
  if (!library || part.planned == whole) return library;
  return std::make_unique<CompositePlan>(whole, part, std::move(library));
}

/// The way of that name; null when it is not to be had.
Plan way_by_name(int device, const ConvolutionPattern& pattern, const std::string& name) {
  if (name == DepthwisePlan::label) return kernels::takes_depthwise(pattern) ? std::make_unique<DepthwisePlan>(pattern) : nullptr;
  for (const ConvolutionPart& part : convolution_parts(pattern))
    if (const std::string prefix = std::string(part.name) + ": "; !(part.planned == pattern) && name.starts_with(prefix)) return compose(pattern, part, library_plan(device, part.planned, name.substr(prefix.size())));
  return library_plan(device, pattern, name);
}

Plan first_way(int device, const ConvolutionPattern& pattern, bool deterministic) {
  if (kernels::takes_depthwise(pattern)) return std::make_unique<DepthwisePlan>(pattern);
  for (const ConvolutionPart& part : convolution_parts(pattern))
    for (Plan& library : library_plans(device, part.planned, deterministic, 1)) return compose(pattern, part, std::move(library));
  return nullptr;
}

/// Operands to time plans with: ordinary numbers, since a device runs faster on zeros.
class Scratch {
 public:
  Scratch(int device, Stream& stream, const ConvolutionPattern& p, std::size_t workspace)
      : in_(device, static_cast<std::size_t>(p.in_elements()) * size_of(p.type)),
        weight_(device, static_cast<std::size_t>(p.outputs * p.vertical.kernel * p.horizontal.kernel * (p.channels / p.groups)) * size_of(p.type)),
        out_(device, static_cast<std::size_t>(p.out_elements()) * size_of(p.type)),
        bias_(device, p.bias ? static_cast<std::size_t>(p.outputs) * sizeof(float) : 0),
        addend_(device, p.addend ? out_.bytes() : 0),
        mask_(device, p.mask ? static_cast<std::size_t>(p.out_elements() / 8) : 0),
        workspace_(device, workspace) {
    std::vector<std::uint32_t> block(1u << 18);
    std::uint32_t state = 1;
    // Floats of any of the types: a random sign and mantissa, a magnitude between 1/2 and 1.
    for (auto& word : block) {
      state = state * 1664525u + 1013904223u;
      word = (state & 0x807f807fu) | (p.type == DType::f16 ? 0x38003800u : 0x3f003f00u);
    }
    for (const DeviceMemory* memory : {&in_, &weight_, &addend_})
      for (std::size_t at = 0; at < memory->bytes(); at += block.size() * 4) stream.upload(memory->data() + at, block.data(), std::min(block.size() * 4, memory->bytes() - at));
    stream.zero(bias_.data(), bias_.bytes());
    stream.upload(mask_.data(), block.data(), std::min(block.size() * 4, mask_.bytes()));
    stream.synchronize();
  }
  ConvolutionArguments arguments() const {
    const auto some = [](const DeviceMemory& m) { return m.bytes() ? m.data() : nullptr; };
    return {.in = in_.data(), .weight = weight_.data(), .out = out_.data(), .bias = some(bias_), .addend = some(addend_), .mask = some(mask_), .workspace = some(workspace_)};
  }

 private:
  DeviceMemory in_, weight_, out_, bias_, addend_, mask_, workspace_;
};

/// The median of several runs behind a first one that loads the kernels.
float milliseconds(const ConvolutionPlan& plan, int device, Stream& stream, const ConvolutionArguments& arguments) {
  constexpr int runs = 7;
  std::vector<std::unique_ptr<Event>> events;
  for (int i = 0; i <= runs; ++i) events.push_back(std::make_unique<Event>(device));
  plan.run(stream, arguments);
  for (int i = 0; i < runs; ++i) {
    events[static_cast<std::size_t>(i)]->record(stream);
    plan.run(stream, arguments);
  }
  events.back()->record(stream);
  stream.synchronize();
  std::vector<float> times;
  for (std::size_t i = 0; i < runs; ++i) times.push_back(events[i + 1]->milliseconds_since(*events[i]));
  std::nth_element(times.begin(), times.begin() + runs / 2, times.end());
  return times[runs / 2];
}

/// The first elements that a way computes, and their mask.
struct Sample {
  Tensor out;
  std::vector<std::uint8_t> mask;
};

Sample sample(const ConvolutionPlan& plan, Stream& stream, const ConvolutionPattern& p, const ConvolutionArguments& a) {
  const std::int64_t count = std::min<std::int64_t>(p.out_elements(), 1 << 16);
  Sample s{Tensor(Shape{count}, p.type), std::vector<std::uint8_t>(p.mask && !p.backward ? static_cast<std::size_t>(count / 8) : 0)};
  stream.zero(a.out, s.out.bytes());
  if (!s.mask.empty()) stream.zero(a.mask, s.mask.size());
  plan.run(stream, a);
  stream.download(s.out.raw(), a.out, s.out.bytes());
  if (!s.mask.empty()) stream.download(s.mask.data(), a.mask, s.mask.size());
  stream.synchronize();
  s.out = s.out.to(DType::f32);
  return s;
}

/// Whether two ways compute the same but for rounding: all but one element and one bit of the mask in a hundred.
bool agree(const Sample& a, const Sample& b) {
  const auto x = a.out.span<float>(), y = b.out.span<float>();
  double size = 0;
  for (const float v : y) size += static_cast<double>(v) * static_cast<double>(v);
  const double allowed = 0.05 * std::sqrt(size / static_cast<double>(y.size()));
  std::size_t elements = 0, bits = 0;
  for (std::size_t i = 0; i < x.size(); ++i) elements += !(std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i])) <= allowed);
  for (std::size_t i = 0; i < a.mask.size(); ++i) bits += static_cast<std::size_t>(std::popcount(static_cast<unsigned>(a.mask[i] ^ b.mask[i])));
  return 100 * elements <= x.size() && 100 * bits <= 8 * a.mask.size();
}

/// The fastest of the ways, or null where the device has no memory to time them. A way whose results are not those of the last one, which leaves the
/// least to the library, is passed over: cuDNN's documentation does not promise the order of a mask's bits.
Plan fastest(int device, const ConvolutionPattern& pattern, std::vector<Plan>& candidates) {
  std::size_t workspace = 0;
  for (const Plan& plan : candidates) workspace = std::max(workspace, plan->workspace_bytes());
  Plan* best = nullptr;
  float best_time = std::numeric_limits<float>::infinity();
  try {
    Stream stream(device);
    const Scratch scratch(device, stream, pattern, workspace);
    const Sample expected = sample(*candidates.back(), stream, pattern, scratch.arguments());
    for (Plan& plan : candidates) {
      try {
        if (!agree(sample(*plan, stream, pattern, scratch.arguments()), expected)) continue;
        const float time = milliseconds(*plan, device, stream, scratch.arguments());
        if (time < best_time) {
          best = &plan;
          best_time = time;
        }
      } catch (const Error& e) {
        if (e.code() != ErrorCode::unsupported) throw;  // a plan that the library takes back when it is to run
      }
    }
  } catch (const Error& e) {
    if (e.code() != ErrorCode::out_of_memory) throw;
    return nullptr;
  }
  return best ? std::move(*best) : nullptr;
}

}  // namespace

std::vector<ConvolutionPart> convolution_parts(const ConvolutionPattern& whole) {
  std::vector<ConvolutionPart> parts{{"whole", whole}};
  const auto add = [&](std::string_view name, const ConvolutionPattern& p) {
    if (!(p == parts.back().planned)) parts.push_back({name, p});
  };
  ConvolutionPattern p = whole;
  p.mask = false;
  add("but mask", p);
  p.activation = Activation::none;
  add("but activation", p);
  p.addend = p.bias = false;
  add("sums", p);
  return parts;
}

std::vector<std::unique_ptr<ConvolutionPlan>> convolution_ways(int device, const ConvolutionPattern& pattern, bool deterministic) {
  constexpr std::size_t most_a_part = 4;
  std::vector<Plan> all;
  if (kernels::takes_depthwise(pattern)) all.push_back(std::make_unique<DepthwisePlan>(pattern));
  for (const ConvolutionPart& part : convolution_parts(pattern))
    for (Plan& library : library_plans(device, part.planned, deterministic, most_a_part)) all.push_back(compose(pattern, part, std::move(library)));
  return all;
}

std::shared_ptr<const ConvolutionPlan> choose_convolution(int device, const ConvolutionPattern& pattern, const ConvolutionChoice& choice) {
  // One choice at a time: two that are timed at once would disturb each other.
  static std::mutex guard;
  static std::map<std::string, std::shared_ptr<const ConvolutionPlan>> chosen;
  const std::lock_guard lock(guard);
  const std::string identity = library_identity(device), text = to_string(pattern) + (choice.deterministic ? " deterministic" : "");
  const std::string key = std::to_string(device) + ' ' + identity + ' ' + text + (choice.measure ? "" : " unmeasured");
  if (const auto found = chosen.find(key); found != chosen.end()) return found->second;

  Plan plan;
  if (const auto name = remembered_plan(identity, text)) plan = way_by_name(device, pattern, *name);
  if (!plan) {
    if (choice.measure) {
      auto candidates = convolution_ways(device, pattern, choice.deterministic);
      if (candidates.size() > 1) plan = fastest(device, pattern, candidates);
      if (plan) remember_plan(identity, text, plan->name());
      else if (!candidates.empty()) plan = std::move(candidates.front());
    } else {
      plan = first_way(device, pattern, choice.deterministic);
    }
  }
  if (!plan) fail(ErrorCode::unsupported, "cuda: there is no way to compute ", to_string(pattern), " on ", device_list()[static_cast<std::size_t>(device)].name, ".");
  return chosen[key] = std::move(plan);
}

}  // namespace limpid::cuda
