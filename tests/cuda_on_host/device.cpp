// The device that the stand-in pretends to be.
#include "internal.h"

#include <map>
#include <mutex>

namespace limpid::cuda {

const std::vector<DeviceProperties>& device_list() {
  static std::mutex mutex;
  static std::map<std::pair<int, std::size_t>, std::vector<DeviceProperties>> lists;  // by what was pretended so far: references stay good
  const auto& s = on_host::settings();
  const int version = 10 * s.major + s.minor;
  const std::lock_guard lock(mutex);
  auto& list = lists[{version, s.memory}];
  if (list.empty() && version >= 75) list.push_back({"host stand-in", s.major, s.minor, s.memory, 4});
  return list;
}

std::string why_no_device() {
  const auto& s = on_host::settings();
  if (s.major == 0) return "There is no NVIDIA driver; install it, or use --device cpu.";
  if (10 * s.major + s.minor < 75) return on_host::text("host stand-in has compute capability ", s.major, '.', s.minor, "; limpid needs 7.5 or newer. Use --device cpu.");
  return {};
}

std::string library_identity(int device) {
  const DeviceProperties& d = device_list().at(static_cast<std::size_t>(device));
  const auto& s = on_host::settings();  // another seed or another choice of plans is another library
  return on_host::text("host 1 sm_", d.major, d.minor, ' ', d.name, " fusion ", static_cast<int>(s.fusion), s.depthwise ? " depthwise" : "", " seed ", s.seed);
}

}  // namespace limpid::cuda
