#pragma once
// Where a network builder gets its weights: a file's tensors, or random ones of the shapes that it asks for.
#include <limpid/runtime/graph.h>

#include <map>
#include <set>

namespace limpid {

class Parameters {
 public:
  virtual ~Parameters() = default;
  /// The tensor of that name as a constant. Throws bad_file, naming tensor and shapes, when it is missing or misshaped.
  Value constant(Graph& graph, const std::string& name, const Shape& shape) { return graph.constant(tensor(name, shape), name); }
  virtual bool has(const std::string& name) const = 0;

 protected:
  virtual Tensor tensor(const std::string& name, const Shape& shape) = 0;
};

/// The tensors of a file, and which of them a network has asked for. Floats of any width; they are not copied.
class FileParameters : public Parameters {
 public:
  FileParameters(std::map<std::string, Tensor> tensors, std::string where) : tensors_(std::move(tensors)), where_(std::move(where)) {}
  bool has(const std::string& name) const override { return tensors_.count(name) != 0; }
  /// Throws bad_file when the file holds tensors that no layer asked for (`num_batches_tracked` apart).
  void require_all_used() const;

 protected:
  Tensor tensor(const std::string& name, const Shape& shape) override;

 private:
  std::map<std::string, Tensor> tensors_;
  std::string where_;
  std::set<std::string> used_;
};

/// He-initialised weights (He et al. 2015, fan-out, as torchvision draws them), unit norms, zero biases. The same seed and
/// name give the same tensor whatever else is asked for.
class RandomParameters : public Parameters {
 public:
  explicit RandomParameters(std::uint64_t seed) : seed_(seed) {}
  bool has(const std::string&) const override { return true; }

 protected:
  Tensor tensor(const std::string& name, const Shape& shape) override;

 private:
  std::uint64_t seed_;
  std::map<std::string, Tensor> drawn_;  // so that graphs for several input sizes share their constants
};

}  // namespace limpid
