#pragma once
// A convolution pattern as cuDNN's operation graph.
#include <limpid/cuda/driver/cudnn_descriptor.h>

#include <string>

namespace limpid::cuda {

/// What plans are made for: the device of a handle, or one that is only described (no device is needed then).
struct PlanTarget {
  cudnnHandle_t handle = nullptr;
  cudnnBackendDescriptor_t description = nullptr;
  std::string identity;  // under which compiled plans are kept on disk; empty: they are not
};

/// The same pattern can be said in several ways, of which cuDNN knows some.
struct GraphDialect {
  DType bias_type = DType::f32;
  auto operator<=>(const GraphDialect&) const = default;
};

/// Names of the tensors that are memory.
enum class Operand : std::int64_t { in = 1, weight, out, bias, addend, mask, zero, six };

struct OperationGraph {
  Descriptor graph;
  std::vector<Descriptor> parts;  // what it refers to
};

/// Throws unsupported where cuDNN refuses the description.
OperationGraph operation_graph(const PlanTarget& target, const ConvolutionPattern& pattern, const GraphDialect& dialect);

}  // namespace limpid::cuda
