// f(path_points(b, x, nodes)) = path_points(f(b), f(x), nodes) for an affine f: what a network does before its first bend runs on the two ends
// of a path, once per sample, instead of on each of its points.
#include <limpid/runtime/passes/linear.h>
#include <limpid/runtime/passes/passes.h>
#include <limpid/runtime/passes/rewrite.h>

namespace limpid::passes {
namespace {

struct Path { Value baseline, input, nodes; };

class Hoist {
 public:
  explicit Hoist(Rewrite& rewrite) : rewrite_(rewrite) {}

  Value operator()(const Node& n) {
    if (n.op == &ops::path_points) return points({rewrite_.mapped_input(n, 0), rewrite_.mapped_input(n, 1), rewrite_.mapped_input(n, 2)});
    if (!is_affine(n)) return {};
    Value nodes;  // of the paths that go in: all must be the same points
    std::vector<Value> baselines, inputs;
    for (int id : n.inputs) {
      const Value v = rewrite_.mapped(id);
      const auto path = paths_.find(v.id);
      if (path != paths_.end()) {
        if (nodes.defined() && nodes.id != path->second.nodes.id) return {};
        nodes = path->second.nodes;
      } else if (v.defined() && v.rows() == Rows::sweep) {
        return {};
      }
      baselines.push_back(path == paths_.end() ? v : path->second.baseline);
      inputs.push_back(path == paths_.end() ? v : path->second.input);
    }
    if (!nodes.defined()) return {};
    Graph& g = rewrite_.target();
    return points({g.append(*n.op, baselines, n.attributes), g.append(*n.op, inputs, n.attributes), nodes});
  }

 private:
  Value points(const Path& path) {
    const Value v = path_points(path.baseline, path.input, path.nodes);
    paths_[v.id] = path;
    return v;
  }

  Rewrite& rewrite_;
  std::unordered_map<int, Path> paths_;  // by the new graph's value
};

}  // namespace

std::unique_ptr<Graph> hoist_linear(const Graph& graph, std::vector<int>& outputs) {
  Rewrite rewrite(graph, outputs);
  Hoist hoist(rewrite);
  const auto rewritten = rewrite.run([&](const Node& n) { return hoist(n); });
  return eliminate_dead(*rewritten, outputs);  // the points that only affine ops read
}

}  // namespace limpid::passes
