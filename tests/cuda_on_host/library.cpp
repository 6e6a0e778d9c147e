// The library's part: convolution plans and matrix products as plain loops in the plan's own layout. Two plans a pattern, which sum in
// different orders and want different bias types and workspaces; a third, whose order changes with every run, when that is allowed.
#include "internal.h"
#include "sums.h"

#include <limpid/runtime/error.h>

#include <cstring>

namespace limpid::cuda {
namespace on_host {
namespace {

enum class Order { forward, reversed, any };

/// n elements as f32, rounded to 10 bits for tf32.
std::vector<float> to_float(const void* p, DType type, std::size_t n, bool tf32) {
  std::vector<float> v(n);
  convert(p, type, n, tf32, v.data());
  return v;
}

bool overlap(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
  const auto *x = static_cast<const std::byte*>(a), *y = static_cast<const std::byte*>(b);
  return a_bytes && b_bytes && x < y + b_bytes && y < x + a_bytes;
}

class HostPlan : public ConvolutionPlan {
 public:
  HostPlan(const ConvolutionPattern& pattern, Order order) : pattern_(pattern), order_(order) {}
  static std::string name_of(Order order) { return order == Order::forward ? "host engine 0" : order == Order::reversed ? "host engine 1 reversed" : "host engine 2 any order"; }

  std::size_t workspace_bytes() const override { return order_ == Order::forward ? 0 : 1000; }
  DType bias_type() const override { return order_ == Order::forward ? pattern_.type : DType::f32; }
  std::string name() const override { return name_of(order_); }

  void run(Stream& stream, const ConvolutionArguments& arguments) const override {
    check(pattern_, arguments, bias_type(), workspace_bytes(), name());
    on_host::queue(stream, name() + ", " + to_string(pattern_), [p = pattern_, a = arguments, order = order_, bias = bias_type(), workspace = workspace_bytes(), name = name()] {
      check(p, a, bias, workspace, name);
      if (workspace) fill_with_poison(a.workspace, workspace);  // a workspace holds nothing that lasts
      static std::atomic<unsigned> runs{0};
      convolve(p, a, bias, order == Order::reversed || (order == Order::any && runs++ % 2));
      ++plans_run;
    }, hash(std::as_bytes(std::span(&arguments, 1))) | 1);
  }

 private:
  static void check(const ConvolutionPattern& p, const ConvolutionArguments& a, DType bias, std::size_t workspace, const std::string& name) {
    const std::string plan = name + ", " + to_string(p) + ": ";
    struct Operand { const char* what; const void* p; std::size_t bytes; bool needed; };
    const std::size_t element = size_of(p.type), out = static_cast<std::size_t>(p.out_elements());
    const Operand operands[] = {{"out", a.out, out * element, true},
                                {"in", a.in, static_cast<std::size_t>(p.in_elements()) * element, true},
                                {"weight", a.weight, static_cast<std::size_t>(p.outputs * p.vertical.kernel * p.horizontal.kernel * (p.channels / p.groups)) * element, true},
                                {"bias", a.bias, static_cast<std::size_t>(p.outputs) * size_of(bias), p.bias},
                                {"addend", a.addend, out * element, p.addend},
                                {"mask", a.mask, out / 8, p.mask},
                                {"workspace", a.workspace, workspace, workspace > 0}};
    for (const Operand& o : operands) {
      if (!o.needed) continue;
      require_device(o.p, o.bytes, plan + o.what);
      if (reinterpret_cast<std::uintptr_t>(o.p) % 16) trap(plan + o.what + " is not at a multiple of 16 bytes");
      if (&o != &operands[0] && overlap(a.out, operands[0].bytes, o.p, o.bytes)) trap(plan + o.what + " overlaps out");
    }
    if (p.mask && overlap(a.mask, operands[5].bytes, a.in, operands[1].bytes)) trap(plan + "mask overlaps in");
  }

  ConvolutionPattern pattern_;
  Order order_;
};

bool supported(int device, const ConvolutionPattern& p) {
  const DeviceProperties& d = device_list().at(static_cast<std::size_t>(device));
  const Settings& s = settings();
  if ((p.type == DType::bf16 || p.tf32) && d.major < 8) return false;
  if (p.depthwise() && !s.depthwise) return false;
  switch (s.fusion) {
    case Fusion::everything: return true;
    case Fusion::no_masks: return !p.mask;
    case Fusion::bare: return !p.mask && !p.bias && !p.addend && p.activation == Activation::none;
    default: return false;
  }
}

void require_sensible(const ConvolutionPattern& p) {
  const auto wrong = [&](const char* what) { trap(text("a convolution pattern makes no sense, ", what, ": ", to_string(p))); };
  if (p.channels % 8 || p.outputs % 8) wrong("channels come in multiples of 8");
  if (p.groups < 1 || p.channels % p.groups || p.outputs % p.groups) wrong("the groups do not divide the channels");
  if (p.vertical.out(p.rows) != p.out_rows || p.horizontal.out(p.columns) != p.out_columns || p.images < 1 || p.out_rows < 1 || p.out_columns < 1) wrong("the extents do not fit");
  if (p.type != DType::f32 && p.type != DType::bf16 && p.type != DType::f16) wrong("the type");
  if (p.tf32 && p.type != DType::f32) wrong("tf32 of 16 bits");
  if (p.backward && (p.bias || p.activation != Activation::none)) wrong("bias and activation belong to the forward direction");
  if (!p.backward && p.mask && p.activation == Activation::none) wrong("a mask of no activation");
}

}  // namespace
}  // namespace on_host

using namespace on_host;

std::unique_ptr<ConvolutionPlan> library_plan(int device, const ConvolutionPattern& pattern, const std::string& name) {
  require_sensible(pattern);
  if (!supported(device, pattern)) return nullptr;
  for (const Order order : {Order::forward, Order::reversed, Order::any})
    if (HostPlan::name_of(order) == name) return std::make_unique<HostPlan>(pattern, order);
  return nullptr;
}

std::vector<std::unique_ptr<ConvolutionPlan>> library_plans(int device, const ConvolutionPattern& pattern, bool deterministic, std::size_t most) {
  require_sensible(pattern);
  std::vector<std::unique_ptr<ConvolutionPlan>> plans;
  if (!supported(device, pattern)) return plans;
  for (const Order order : {Order::forward, Order::reversed, Order::any})
    if (plans.size() < most && (order != Order::any || !deterministic)) plans.push_back(std::make_unique<HostPlan>(pattern, order));
  return plans;
}

void multiply(Stream& stream, const Product& product, const float* a, const float* b, float* c) {
  const std::string name = text("a product, ", product.m, 'x', product.n, 'x', product.k, product.transposed_b ? " transposed" : "", product.tf32 ? " tf32" : "");
  if (product.m < 1 || product.n < 1 || product.k < 1) trap(name + ": an extent is not positive");
  const auto bytes = [](std::int64_t x, std::int64_t y) { return static_cast<std::size_t>(x * y) * sizeof(float); };
  const auto check = [=] {
    const auto [m, n, k, transposed, tf32] = product;
    require_device(a, bytes(m, k), name + ": a");
    require_device(b, bytes(k, n), name + ": b");
    require_device(c, bytes(m, n), name + ": c");
    if (overlap(c, bytes(m, n), a, bytes(m, k)) || overlap(c, bytes(m, n), b, bytes(k, n))) trap(name + ": c overlaps an operand");
  };
  check();
  on_host::queue(stream, name, [=] {
    check();
    const auto [m, n, k, transposed, tf32] = product;
    const std::int64_t length = (k + lanes - 1) / lanes * lanes;
    std::vector<float> rows(static_cast<std::size_t>(m * length)), columns(static_cast<std::size_t>(n * length));
    for (std::int64_t i = 0; i < m; ++i) convert(a + i * k, DType::f32, static_cast<std::size_t>(k), tf32, rows.data() + i * length);
    const auto plain = to_float(b, DType::f32, static_cast<std::size_t>(n * k), tf32);
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t i = 0; i < k; ++i) columns[static_cast<std::size_t>(j * length + i)] = plain[static_cast<std::size_t>(transposed ? j * k + i : i * n + j)];
    products(rows.data(), columns.data(), c, m, n, length, false);
    ++products_run;
  });
}

}  // namespace limpid::cuda
