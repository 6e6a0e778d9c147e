#pragma once
// Layers as graph builders: a name, parameters, and one or two ops.
#include <limpid/nn/parameters.h>
#include <limpid/runtime/ops.h>

namespace limpid::nn {

/// What every builder carries along: the graph and where the weights come from.
struct Builder {
  Graph& graph;
  Parameters& parameters;

  Value name(Value v, const std::string& n) const {
    graph.name(v, n);
    return v;
  }
  /// `name.weight` [outputs, C/groups, k, k], no bias.
  Value conv(const std::string& n, Value x, std::int64_t outputs, std::int64_t kernel, const Conv2dOptions& options = {}) const;
  /// `name.weight|bias|running_mean|running_var` [C].
  Value norm(const std::string& n, Value x, double epsilon = 1e-5) const;
  /// `name.weight` [outputs, F], `name.bias` [outputs].
  Value linear(const std::string& n, Value x, std::int64_t outputs) const;
};

}  // namespace limpid::nn
