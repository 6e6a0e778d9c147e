#include <limpid/runtime/backend.h>
#include <limpid/runtime/device.h>
#include <limpid/runtime/error.h>

#include <charconv>

namespace limpid {
namespace {
constexpr std::pair<Precision, std::string_view> precision_names[] = {{Precision::automatic, "auto"}, {Precision::f32, "f32"}, {Precision::tf32, "tf32"},
                                                                      {Precision::bf16, "bf16"},      {Precision::f16, "f16"}, {Precision::f64, "f64"}};
}

std::string_view name_of(Precision precision) {
  for (const auto& [p, name] : precision_names)
    if (p == precision) return name;
  return "?";
}

Precision precision_from(std::string_view wanted) {
  for (const auto& [p, name] : precision_names)
    if (name == wanted) return p;
  fail(ErrorCode::invalid_argument, "There is no precision '", wanted, "'; use auto, f32, tf32, bf16, f16 or f64.");
}

std::vector<DeviceInfo> devices() {
  std::vector<DeviceInfo> all;
  for (const Backend* backend : {cuda_backend(), cpu_backend(), reference_backend()}) {
    if (!backend) continue;
    for (auto& d : backend->devices()) all.push_back(std::move(d));
  }
  return all;
}

BackendChoice choose_backend(std::string_view device) {
  if (device == "reference") return {reference_backend(), 0};
  if (device == "cpu") return {cpu_backend(), 0};
  const bool cuda_found = cuda_backend() && !cuda_backend()->devices().empty();
  if (device == "auto") return {cuda_found ? cuda_backend() : cpu_backend(), 0};
  if (device == "cuda" || device.starts_with("cuda:")) {
    int index = 0;
    if (device.size() > 5) {
      const auto digits = device.substr(5);
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
      require(error == std::errc{} && end == digits.data() + digits.size() && index >= 0, "There is no device '", device, "'; use cuda:0, cuda:1, ...");
    } else {
      require(device == "cuda", "There is no device '", device, "'; use cuda:0, cuda:1, ...");
    }
    if (!cuda_backend()) fail(ErrorCode::not_found, "This build of limpid has no CUDA backend; use --device cpu.");
    if (!cuda_found) fail(ErrorCode::not_found, cuda_backend()->why_none());
    if (index >= static_cast<int>(cuda_backend()->devices().size())) fail(ErrorCode::not_found, "There is no device '", device, "'; this machine has ", cuda_backend()->devices().size(), " GPU(s).");
    return {cuda_backend(), index};
  }
  fail(ErrorCode::invalid_argument, "There is no device '", device, "'; use auto, cpu, cuda, cuda:N or reference.");
}

}  // namespace limpid
