#pragma once
// cuDNN's plans for a pattern: found by its heuristics, named, and found again by name.
#include <limpid/cuda/driver/cudnn_graph.h>

namespace limpid::cuda {

struct PlanWish {
  bool deterministic = true;
  std::size_t most = 1;
};

struct CudnnPlan {
  OperationGraph graph;
  Descriptor plan;
  ConvolutionPattern pattern;
  GraphDialect dialect;
  std::string name;
  std::size_t workspace_bytes = 0;
  bool runtime_compiled = false;
};

/// Best guess first; empty where there is none.
std::vector<CudnnPlan> cudnn_plans(const PlanTarget& target, const ConvolutionPattern& pattern, const PlanWish& wish);
/// Without the limits of `cudnn_plans`; false where it cannot be made.
bool cudnn_plan_by_name(const PlanTarget& target, const ConvolutionPattern& pattern, const std::string& name, CudnnPlan& plan);

/// A device that is described by cuDNN's JSON, for planning without one. Throws unsupported, with cuDNN's reason, where it cannot be used.
Descriptor described_device(const std::string& json);

}  // namespace limpid::cuda
