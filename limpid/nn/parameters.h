#pragma once
// Where a network builder gets its weights: a file's tensors, or random ones of the shapes that it asks for.
#include <limpid/runtime/graph.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace limpid {

class Parameters {
 public:
  virtual ~Parameters() = default;
  /// The tensor of that name as a constant.
  Value constant(Graph& graph, const std::string& name, const Shape& shape) { return graph.constant(tensor(name, shape), name); }
  virtual bool has(const std::string& name) const = 0;

 protected:
  virtual Tensor tensor(const std::string& name, const Shape& shape) = 0;
};

/// How a file's tensors differ from what a network asks for; each entry is a name with its shapes.
struct Mismatch {
  std::vector<std::string> missing, misshaped, unexpected;
  bool empty() const { return missing.empty() && misshaped.empty() && unexpected.empty(); }
  /// "2 missing ('fc.weight' [10, 512], 'fc.bias' [10]); 1 unexpected ('head.weight' [10, 512])", three names of each kind; "" when empty.
  std::string to_string() const;
};

/// The tensors of a file, and which of them a network has asked for. Floats of any width; they are not copied. A tensor that is missing
/// or misshaped is noted, and zeros stand in for it: so that one look at `mismatch` tells all. Nothing may be computed from those.
class FileParameters : public Parameters {
 public:
  explicit FileParameters(std::map<std::string, Tensor> tensors) : tensors_(std::move(tensors)) {}
  bool has(const std::string& name) const override { return tensors_.count(name) != 0; }
  /// What has been found so far; unexpected are tensors that no layer has asked for (`num_batches_tracked` apart).
  Mismatch mismatch() const;

 protected:
  Tensor tensor(const std::string& name, const Shape& shape) override;

 private:
  std::map<std::string, Tensor> tensors_;
  std::set<std::string> used_;
  std::map<std::string, Tensor> stand_ins_;
  Mismatch mismatch_;
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
