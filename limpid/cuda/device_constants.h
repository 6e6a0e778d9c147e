#pragma once
// Weights on the device: arranged once and shared by every program that uses the same tensor in the same way.
#include <limpid/cuda/outside.h>
#include <limpid/runtime/tensor.h>

#include <functional>

namespace limpid::cuda {

/// A tensor's device copy. It keeps the host tensor alive, whose address is its key.
struct DeviceConstant {
  DeviceConstant(int device, Tensor source_tensor, std::size_t bytes) : memory(device, bytes), source(std::move(source_tensor)) {}
  DeviceMemory memory;
  Tensor source;
};

/// The device copy of what `arrange` makes of `source`; `arrangement` names that in the key. Uploads when no program holds one yet.
/// Throws out_of_memory.
std::shared_ptr<const DeviceConstant> device_constant(Stream& stream, const Tensor& source, const std::string& arrangement, const std::function<Tensor()>& arrange);

/// A convolution's weights [outputs, channels / groups, kernel rows, kernel columns] as plans read them: [padded outputs, kernel rows,
/// kernel columns, padded channels / groups] in `type`, zero in the padding. `dense`: the groups of a grouped convolution spread into one.
Tensor arranged_weights(const Tensor& weight, std::int64_t groups, bool dense, DType type);

inline std::int64_t padded(std::int64_t channels) { return (channels + 7) / 8 * 8; }

}  // namespace limpid::cuda
