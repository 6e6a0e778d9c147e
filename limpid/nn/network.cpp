#include <limpid/nn/network.h>

namespace limpid {

Value Activations::at(std::string_view layer) const {
  const Value v = values_[static_cast<std::size_t>(source_->at(layer).id)];
  if (!v.defined()) fail(ErrorCode::not_found, "The layer '", layer, "' does not lie in this part of the network.");
  return v;
}

Activations Network::trace(Value x) const {
  require(x.shape() == input_shape(), "The network takes ", input_shape(), " per sample, not ", x.shape(), ".");
  x.graph->share_derived(*graph_);
  Activations result;
  result.source_ = graph_;
  result.values_ = copy_into(*x.graph, *graph_, {{from_, x}}, std::span<const int>(&to_, 1));
  result.output = result.values_[static_cast<std::size_t>(to_)];
  return result;
}

}  // namespace limpid
