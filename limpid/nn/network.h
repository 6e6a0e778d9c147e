#pragma once
// A frozen network, or the part of one between two layers, as a function on values.
#include <limpid/runtime/graph.h>

namespace limpid {

/// The values that one application of a network appended to a graph, by layer name.
class Activations {
 public:
  Value output;
  /// The value of that layer in this application. Throws not_found (with near names) for a layer that is not there or not on the way.
  Value at(std::string_view layer) const;

 private:
  friend class Network;
  std::shared_ptr<Graph> source_;
  std::vector<Value> values_;
};

class Network {
 public:
  /// `graph`: one input value, from which `output` is computed.
  Network(std::shared_ptr<Graph> graph, Value input, Value output) : graph_(std::move(graph)), from_(input.id), to_(output.id) {}

  /// Appends the network to x's graph and returns its output. x: [C,H,W] per row, of a batch or a sweep.
  Value operator()(Value x) const { return trace(x).output; }
  /// The same, with the value of every layer on the way at hand: a tap, as input of further ops or as what to differentiate by.
  Activations trace(Value x) const;

  /// The part up to a layer, and the part behind it. Throws not_found; `from` throws when applied if a path bypasses the layer.
  Network upto(std::string_view layer) const { return {graph_, graph_->handle(from_), graph_->at(layer)}; }
  Network from(std::string_view layer) const { return {graph_, graph_->at(layer), graph_->handle(to_)}; }

  const Shape& input_shape() const { return graph_->value(from_).shape; }
  const Shape& output_shape() const { return graph_->value(to_).shape; }
  const Graph& graph() const { return *graph_; }

 private:
  std::shared_ptr<Graph> graph_;
  int from_, to_;
};

}  // namespace limpid
