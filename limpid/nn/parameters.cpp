#include <limpid/nn/parameters.h>
#include <limpid/runtime/near_names.h>

#include <cmath>
#include <numbers>

namespace limpid {

Tensor FileParameters::tensor(const std::string& name, const Shape& shape) {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) fail(ErrorCode::bad_file, where_, ": the tensor '", name, "' ", shape, " is missing; is the file complete and of this architecture?");
  const Tensor& t = it->second;
  if (t.shape() != shape) fail(ErrorCode::bad_file, where_, ": the tensor '", name, "' has the shape ", t.shape(), ", the architecture needs ", shape, ".");
  if (t.dtype() == DType::i64 || t.dtype() == DType::i32 || t.dtype() == DType::u8) fail(ErrorCode::bad_file, where_, ": the tensor '", name, "' holds integers, not floats.");
  used_.insert(name);
  return t;
}

void FileParameters::require_all_used() const {
  std::string extra;
  int count = 0;
  for (const auto& [name, tensor] : tensors_) {
    if (used_.count(name) || name.ends_with("num_batches_tracked")) continue;
    if (++count <= 3) extra += (extra.empty() ? "'" : ", '") + name + "'";
  }
  if (count) fail(ErrorCode::bad_file, where_, ": ", count, " tensor(s) belong to no layer of this architecture (", extra, count > 3 ? ", ..." : "", "); name another with --model.");
}

namespace {

/// SplitMix64 of (seed, name, index): a counter-based generator.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
double uniform(std::uint64_t bits) { return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53; }

}  // namespace

Tensor RandomParameters::tensor(const std::string& name, const Shape& shape) {
  Tensor& slot = drawn_[name];
  if (slot.defined()) return slot;
  const bool is_matrix = shape.rank() >= 2;
  if (!is_matrix) return slot = Tensor::full(shape, name.ends_with("weight") || name.ends_with("running_var") ? 1 : 0);
  // Convolutions: deviation sqrt(2 / fan_out); the classifier: 1 / sqrt(fan_in), so that logits are of order one.
  const double fan = shape.rank() == 4 ? static_cast<double>(shape[0] * shape[2] * shape[3]) / 2 : static_cast<double>(shape[1]);
  const double deviation = 1 / std::sqrt(fan);
  std::uint64_t key = mix(seed_);
  for (char c : name) key = mix(key ^ static_cast<unsigned char>(c));
  Tensor t(shape);
  float* values = t.data<float>();
  for (std::int64_t i = 0; i < t.numel(); i += 2) {  // Box-Muller
    const double radius = deviation * std::sqrt(-2 * std::log(uniform(mix(key + static_cast<std::uint64_t>(i)))));
    const double angle = 2 * std::numbers::pi * uniform(mix(key + static_cast<std::uint64_t>(i) + 1));
    values[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < t.numel()) values[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return slot = t;
}

}  // namespace limpid
