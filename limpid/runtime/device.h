#pragma once
// Where a graph runs and in which precision.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace limpid {

/// `automatic`: f32 on the CPU and reference backends.
enum class Precision { automatic, f32, tf32, bf16, f16, f64 };

/// "f32"; `auto` for automatic.
std::string_view name_of(Precision precision);
/// Throws invalid_argument, listing the names.
Precision precision_from(std::string_view name);

struct DeviceInfo {
  std::string name;         // as --device takes it: "cpu", "reference", "cuda:0"
  std::string description;  // "Intel(R) Xeon(R) Processor, 2 threads"
  std::string capability;   // "avx512_bf16", "sm_90"
  std::size_t memory = 0;   // bytes
  std::vector<Precision> precisions;
};

/// Every device that this build can use on this machine.
std::vector<DeviceInfo> devices();

}  // namespace limpid
