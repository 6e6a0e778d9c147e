#pragma once
// cuDNN's plans for a pattern: found by its heuristics, named, and found again by name.
#include <limpid/cuda/driver/cudnn_graph.h>

namespace limpid::cuda {

struct PlanWish {
  bool deterministic = true;
  std::size_t most = 1;
  std::size_t most_compiled = 2;  // of those that cuDNN compiles when they are made, which takes 0.3 to 1 s each
};

struct CudnnPlan {
  OperationGraph graph;
  Descriptor plan;
  ConvolutionPattern pattern;
  GraphDialect dialect;
  std::string name;
  std::size_t workspace_bytes = 0;
  bool runtime_compiled = false;
  bool loaded = true;  // false: for a described device, compiled for it but not loaded, for want of a driver; cannot run
};

/// Best guess first; empty where there is none.
std::vector<CudnnPlan> cudnn_plans(const PlanTarget& target, const ConvolutionPattern& pattern, const PlanWish& wish);
/// How many plans cuDNN would compile for the pattern, had it to; none is.
std::size_t compiled_plans_offered(const PlanTarget& target, const ConvolutionPattern& pattern, bool deterministic);
/// Without the limits of `cudnn_plans`; false where it cannot be made.
bool cudnn_plan_by_name(const PlanTarget& target, const ConvolutionPattern& pattern, const std::string& name, CudnnPlan& plan);

/// A device that is described by cuDNN's JSON, for planning without one. Throws unsupported, with cuDNN's reason, where it cannot be used.
Descriptor described_device(const std::string& json);

}  // namespace limpid::cuda
