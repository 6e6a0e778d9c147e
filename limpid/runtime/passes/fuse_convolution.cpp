// conv2d -> activation, conv2d -> add, and conv2d -> add -> activation become one conv2d with an addend and an activation.
// The activation's backward op reads the fused output, so nothing else changes.
#include <limpid/runtime/passes/passes.h>
#include <limpid/runtime/passes/rewrite.h>

namespace limpid::passes {
namespace {

bool is_bare(const Node* conv) { return conv && !conv->has_input(3) && conv->as<Conv2dAttributes>().activation == Activation::none; }

Value with(Rewrite& rewrite, const Node& conv, Value addend, Activation activation) {
  auto attributes = conv.as<Conv2dAttributes>();
  attributes.activation = activation;
  return rewrite.target().append(ops::conv2d, {rewrite.mapped_input(conv, 0), rewrite.mapped_input(conv, 1), rewrite.mapped_input(conv, 2), addend}, attributes);
}

/// The convolution that an add's sum can be formed in, and the other summand.
std::pair<const Node*, Value> summands(const Rewrite& rewrite, const Node& add) {
  const Node *a = rewrite.sole_producer(add, 0, ops::conv2d), *b = rewrite.sole_producer(add, 1, ops::conv2d);
  if (is_bare(a)) return {a, rewrite.mapped_input(add, 1)};
  if (is_bare(b)) return {b, rewrite.mapped_input(add, 0)};
  return {nullptr, {}};
}

}  // namespace

std::unique_ptr<Graph> fuse_convolution(const Graph& graph, std::vector<int>& outputs) {
  Rewrite rewrite(graph, outputs);
  const auto rewritten = rewrite.run([&](const Node& n) -> Value {
    if (n.op == &ops::activation) {
      const Activation kind = n.as<ActivationAttributes>().activation;
      if (const Node* conv = rewrite.sole_producer(n, 0, ops::conv2d); is_bare(conv)) return with(rewrite, *conv, {}, kind);
      if (const Node* add = rewrite.sole_producer(n, 0, ops::add))
        if (const auto [conv, other] = summands(rewrite, *add); conv) return with(rewrite, *conv, other, kind);
    }
    if (n.op == &ops::add)
      if (const auto [conv, other] = summands(rewrite, n); conv) return with(rewrite, *conv, other, Activation::none);
    return {};
  });
  return eliminate_dead(*rewritten, outputs);  // what the rewrite left behind
}

std::unique_ptr<Graph> fuse_relu_backward(const Graph& graph, std::vector<int>& outputs) {
  Rewrite rewrite(graph, outputs);
  const auto rewritten = rewrite.run([&](const Node& n) -> Value {
    if (n.op != &ops::activation_backward || n.has_input(2)) return {};
    const Node* add = rewrite.sole_producer(n, 1, ops::add);
    if (!add) return {};
    return rewrite.target().append(ops::activation_backward, {rewrite.mapped_input(n, 0), rewrite.mapped_input(*add, 0), rewrite.mapped_input(*add, 1)}, n.attributes);
  });
  return eliminate_dead(*rewritten, outputs);  // what the rewrite left behind
}

}  // namespace limpid::passes
