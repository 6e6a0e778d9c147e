#include <limpid/nn/parameters.h>
#include <limpid/weights/excerpt.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace limpid {

Tensor FileParameters::tensor(const std::string& name, const Shape& shape) {
  if (const auto stand_in = stand_ins_.find(name); stand_in != stand_ins_.end() && stand_in->second.shape() == shape) return stand_in->second;
  const auto stand_in = [&](std::vector<std::string>& kind, const std::string& what) {
    used_.insert(name);
    kind.push_back(excerpt(name) + " " + what);
    return stand_ins_[name] = Tensor(shape);
  };
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) return stand_in(mismatch_.missing, shape.to_string());
  const Tensor& t = it->second;
  if (t.shape() != shape) return stand_in(mismatch_.misshaped, t.shape().to_string() + " instead of " + shape.to_string());
  if (t.dtype() == DType::i64 || t.dtype() == DType::i32 || t.dtype() == DType::u8) return stand_in(mismatch_.misshaped, "of integers instead of floats");
  used_.insert(name);
  return t;
}

Mismatch FileParameters::mismatch() const {
  Mismatch result = mismatch_;
  for (const auto& [name, tensor] : tensors_)
    if (!used_.count(name) && !name.ends_with("num_batches_tracked")) result.unexpected.push_back(excerpt(name) + " " + tensor.shape().to_string());
  return result;
}

std::string Mismatch::to_string() const {
  std::string text;
  const auto add = [&](const std::vector<std::string>& names, const char* kind) {
    if (names.empty()) return;
    text += (text.empty() ? "" : "; ") + std::to_string(names.size()) + (names.size() == 1 ? " is " : " are ") + kind + " (";
    for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 3); ++i) text += (i ? ", " : "") + names[i];
    text += names.size() > 3 ? ", ...)" : ")";
  };
  add(missing, "missing");
  add(misshaped, "misshaped");
  add(unexpected, "unexpected");
  return text;
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
