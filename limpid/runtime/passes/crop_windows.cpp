// Incremental occlusion, exact: behind a window that replaces a part of the input, a layer is computed only where the window can reach, on a
// crop of one size with an origin per window; what the crop reads around itself comes from the activations of the unchanged input, which
// the prologue keeps (zeros, or -inf for max pooling, beyond the picture). Once cropping no longer pays, and in front of ops that need the
// whole picture, the crop is put back into the unchanged activation.
//
// Whether it pays is decided op by op, by the time that a row of the sweep takes: multiplications and additions of the op on the crop plus the
// elements that are gathered for it, against those of the op on the whole picture plus the elements to put the crops back first. Moving an
// element (read and write, eight bytes) counts as much as `flops_per_element` of arithmetic.
#include <limpid/runtime/passes/passes.h>
#include <limpid/runtime/passes/rewrite.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <sstream>

namespace limpid::passes {
namespace {

constexpr double flops_per_element = 100;  // about what a core does while it moves an element through its cache

/// The elements [low, high) of an axis that a point of the sweep can change; low == high: none.
struct Range { std::int32_t low, high; };
using Reach = std::vector<std::array<Range, 2>>;  // by point; rows, columns

/// A value of the sweep known only where it can differ from the unchanged one.
struct Cropped {
  Value plain;  // the same value made from the unchanged input
  Value crop;
  Regions at;   // where the crop lies, within the picture
  Reach reach;  // within `at`
  std::function<Value()> restore;  // the whole picture
  Value whole = {};                // which this made

  const Shape& picture() const { return plain.shape(); }
  bool is_whole() const { return whole.defined() || (at.rows == picture()[1] && at.columns == picture()[2]); }
};

/// How an element of the output sees an input: through a window of a row and a column axis; `outside` is what it sees beyond the picture.
struct View {
  Axis rows, columns;
  double outside = 0;
};

/// The elements of an output of extent n that see the range.
Range seen_by(const Range& r, const Axis& axis, std::int64_t n) {
  if (r.low == r.high) return {0, 0};
  const auto floor = [](std::int64_t a, std::int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); };
  const std::int64_t first = std::clamp<std::int64_t>(floor(r.low + axis.begin - axis.span() + axis.stride, axis.stride), 0, n);
  const std::int64_t last = std::clamp<std::int64_t>(floor(r.high - 1 + axis.begin, axis.stride) + 1, first, n);
  return {static_cast<std::int32_t>(first), static_cast<std::int32_t>(last)};
}

Range hull(const Range& a, const Range& b) {
  if (a.low == a.high || b.low == b.high) return a.low == a.high ? b : a;
  return {std::min(a.low, b.low), std::max(a.high, b.high)};
}

/// Rectangles of the largest reach's size around each, moved inward at the picture's border.
Regions around(const Reach& reach, const Shape& picture) {
  std::int32_t size[2] = {1, 1};
  for (const auto& ranges : reach)
    for (std::size_t i = 0; i < 2; ++i) size[i] = std::max(size[i], ranges[i].high - ranges[i].low);
  auto origins = std::make_shared<std::vector<std::array<std::int32_t, 2>>>(reach.size());
  for (std::size_t s = 0; s < reach.size(); ++s)
    for (std::size_t i = 0; i < 2; ++i) (*origins)[s][i] = std::min(reach[s][i].low, static_cast<std::int32_t>(picture[static_cast<int>(i) + 1]) - size[i]);
  return {size[0], size[1], std::move(origins)};
}

/// What the elements of a region see.
Regions seen_from(const Regions& r, const View& view) {
  if (view.rows == Axis{} && view.columns == Axis{}) return r;
  auto origins = std::make_shared<std::vector<std::array<std::int32_t, 2>>>(*r.origins);
  for (auto& o : *origins) o = {static_cast<std::int32_t>(view.rows.in(o[0], 0)), static_cast<std::int32_t>(view.columns.in(o[1], 0))};
  return {(r.rows - 1) * view.rows.stride + view.rows.span(), (r.columns - 1) * view.columns.stride + view.columns.span(), std::move(origins)};
}

/// How the op's output sees input i; nothing if it needs the whole picture.
std::optional<View> view_of(const Node& n, int i, bool taps_read) {
  if (n.op == &ops::conv2d) return i == 0 ? View{n.as<Conv2dAttributes>().rows, n.as<Conv2dAttributes>().columns} : View{};
  if (n.op == &ops::max_pool && !taps_read) return View{n.as<PoolAttributes>().rows, n.as<PoolAttributes>().columns, -std::numeric_limits<double>::infinity()};
  if (n.op == &ops::avg_pool) {
    const auto& a = n.as<PoolAttributes>();
    if (a.count_include_pad || (a.rows.begin + a.rows.end + a.columns.begin + a.columns.end == 0)) return View{a.rows, a.columns};
  }
  for (const OpDef* op : {&ops::batch_norm, &ops::activation, &ops::add, &ops::sub, &ops::mul, &ops::scale, &ops::abs, &ops::concat, &ops::slice, &ops::broadcast_channels, &ops::sum_channels})
    if (n.op == op) return View{};
  return {};
}

/// Arithmetic of an op for one element of its output.
double flops(const Graph& g, const Node& n) {
  if (n.op == &ops::conv2d) return 2 * static_cast<double>(g.value(n.inputs[1]).shape.inner().numel());
  if (n.op == &ops::max_pool || n.op == &ops::avg_pool) return static_cast<double>(n.as<PoolAttributes>().rows.kernel * n.as<PoolAttributes>().columns.kernel);
  return 1;
}

/// The op on a region of the picture, which brings its own border.
Attributes without_padding(const Node& n) {
  Attributes attributes = n.attributes;
  const auto strip = [](auto& a) { a.rows.begin = a.rows.end = a.columns.begin = a.columns.end = 0; };
  if (auto* conv = std::get_if<Conv2dAttributes>(&attributes)) strip(*conv);
  if (auto* pool = std::get_if<PoolAttributes>(&attributes)) strip(*pool);
  return attributes;
}

/// Whether the node's rows change a known part of the picture each.
bool is_local_source(const Node& n) {
  if (n.op == &ops::occlude_windows) return !n.as<WindowAttributes>().region.defined();
  return n.op == &ops::ablate_features && n.as<AblationAttributes>().boxes && !n.as<AblationAttributes>().region.defined();
}

class CropWindows {
 public:
  CropWindows(const Graph& source, std::vector<int>& outputs) : source_(source), kept_(outputs), rewrite_(source, outputs) {}

  std::unique_ptr<Graph> run() {
    return rewrite_.run([&](const Node& n) -> Value {
      if (is_local_source(n)) return begin(n);
      std::vector<Value> inputs;
      bool crops = false, sweep = false;
      for (int id : n.inputs) {
        crops |= cropped_.count(id) != 0;
        sweep |= id >= 0 && source_.value(id).rows == Rows::sweep;
        inputs.push_back(rewrite_.mapped(id));
      }
      if (crops) return advance(n);
      return sweep || n.op->reducer ? Value{} : once(*n.op, inputs, n.attributes);
    });
  }

 private:
  /// Appends a node unless the target has an equal one: the unchanged activations are often there already.
  Value once(const OpDef& op, const std::vector<Value>& inputs, const Attributes& attributes) {
    std::ostringstream key;
    key << &op << ' ' << to_string(attributes);
    if (op.infer == nullptr) key << std::get<ConstantAttributes>(attributes).tensor.shape();
    for (const Value& v : inputs) key << ' ' << v.id;
    Value& made = made_[key.str()];
    if (!made.defined()) made = &op == &ops::constant ? target().constant(std::get<ConstantAttributes>(attributes).tensor) : target().append(op, inputs, attributes);
    return made;
  }

  /// A source: what it changes lies in the window.
  Value begin(const Node& n) {
    const Value input = rewrite_.mapped_input(n, 0);
    if (input.rows() != Rows::batch || input.shape().rank() != 3 || is_kept(n)) return {};
    Reach reach;
    Attributes attributes = n.attributes;
    Regions* region = nullptr;
    if (n.op == &ops::occlude_windows) {
      auto& a = std::get<WindowAttributes>(attributes);
      const auto range = [](const WindowAxis& axis, std::int64_t i) {
        return Range{static_cast<std::int32_t>(i * axis.stride), static_cast<std::int32_t>(std::min(i * axis.stride + axis.size, axis.extent))};
      };
      for (std::int64_t w = 0; w < a.grid.count(); ++w) reach.push_back({range(a.grid.row, a.grid.at(w).row), range(a.grid.column, a.grid.at(w).column)});
      region = &a.region;
    } else {
      auto& a = std::get<AblationAttributes>(attributes);
      for (const Box& box : *a.boxes) reach.push_back({Range{box.rows[0], box.rows[1]}, Range{box.columns[0], box.columns[1]}});
      region = &a.region;
    }
    *region = around(reach, input.shape());
    std::vector<Value> inputs;
    for (int i = 0; i < static_cast<int>(n.inputs.size()); ++i) inputs.push_back(rewrite_.mapped_input(n, i));
    const Value crop = once(*n.op, inputs, attributes);
    cropped_[n.outputs[0]] = {input, crop, *region, std::move(reach), [this, &n, inputs] { return once(*n.op, inputs, n.attributes); }};
    return crop;
  }

  /// An op with cropped inputs: on the crops if that pays, else on whole pictures.
  Value advance(const Node& n) {
    std::vector<Value> whole;
    if (auto next = crop(n)) {
      const Value crop = next->crop;
      cropped_[n.outputs[0]] = std::move(*next);
      return crop;
    }
    for (int id : n.inputs) whole.push_back(cropped_.count(id) ? restored(cropped_.at(id)) : rewrite_.mapped(id));
    return once(*n.op, whole, n.attributes);
  }

  std::optional<Cropped> crop(const Node& n) {
    if (is_kept(n)) return {};
    const bool taps_read = n.outputs.size() > 1 && rewrite_.uses(n.outputs[1]) > 0;
    const Shape& picture = source_.value(n.outputs[0]).shape;
    Cropped next;
    std::vector<Value> plain;
    for (int i = 0; i < static_cast<int>(n.inputs.size()); ++i) {
      const int id = n.inputs[static_cast<std::size_t>(i)];
      const Cropped* in = find(id);
      plain.push_back(in ? in->plain : rewrite_.mapped(id));
      if (!in && id >= 0 && source_.value(id).rows == Rows::sweep) return {};  // a whole picture of another kind
      if (!in) continue;
      const auto view = view_of(n, i, taps_read);
      if (!view) return {};
      next.reach.resize(in->reach.size(), {Range{0, 0}, Range{0, 0}});
      for (std::size_t s = 0; s < in->reach.size(); ++s) {
        next.reach[s][0] = hull(next.reach[s][0], seen_by(in->reach[s][0], view->rows, picture[1]));
        next.reach[s][1] = hull(next.reach[s][1], seen_by(in->reach[s][1], view->columns, picture[2]));
      }
    }
    next.at = around(next.reach, picture);

    double cropped = flops(source_, n) * static_cast<double>(picture[0] * next.at.rows * next.at.columns), restored = flops(source_, n) * static_cast<double>(picture.numel());
    std::vector<Regions> needed(n.inputs.size());
    for (std::size_t i = 0; i < n.inputs.size(); ++i) {
      const Cropped* in = find(n.inputs[i]);
      if (!in) continue;
      needed[i] = seen_from(next.at, *view_of(n, static_cast<int>(i), taps_read));
      if (!(needed[i] == in->at)) cropped += flops_per_element * static_cast<double>(in->picture()[0] * needed[i].rows * needed[i].columns);
      if (!in->is_whole()) restored += flops_per_element * static_cast<double>(in->picture().numel());
    }
    if (cropped >= restored) return {};

    std::vector<Value> inputs;
    for (std::size_t i = 0; i < n.inputs.size(); ++i) {
      const Cropped* in = find(n.inputs[i]);
      inputs.push_back(!in ? rewrite_.mapped(n.inputs[i]) : needed[i] == in->at ? in->crop : patched(*in, needed[i], view_of(n, static_cast<int>(i), taps_read)->outside));
    }
    next.plain = once(*n.op, plain, n.attributes);
    next.crop = once(*n.op, inputs, without_padding(n));
    next.restore = [this, id = n.outputs[0]] {
      const Cropped& own = cropped_.at(id);
      const Shape& s = own.picture();
      return own.is_whole() ? own.crop : patched(own, {s[1], s[2], std::make_shared<std::vector<std::array<std::int32_t, 2>>>(own.reach.size())}, 0);
    };
    return next;
  }

  Value patched(const Cropped& in, const Regions& to, double outside) { return once(ops::patch, {in.crop, in.plain}, PatchAttributes{in.at, to, outside}); }
  Value restored(Cropped& c) {
    if (!c.whole.defined()) c.whole = c.restore();
    return c.whole;
  }

  Graph& target() { return rewrite_.target(); }
  const Cropped* find(int id) const {
    const auto it = cropped_.find(id);
    return it == cropped_.end() ? nullptr : &it->second;
  }
  bool is_kept(const Node& n) const { return std::any_of(n.outputs.begin(), n.outputs.end(), [&](int id) { return std::find(kept_.begin(), kept_.end(), id) != kept_.end(); }); }

  const Graph& source_;
  const std::vector<int> kept_;
  Rewrite rewrite_;
  std::unordered_map<int, Cropped> cropped_;  // by the source's value ids
  std::unordered_map<std::string, Value> made_;
};

}  // namespace

std::unique_ptr<Graph> crop_windows(const Graph& graph, std::vector<int>& outputs) {
  if (std::none_of(graph.nodes().begin(), graph.nodes().end(), is_local_source)) return eliminate_dead(graph, outputs);
  const auto rewritten = CropWindows(graph, outputs).run();
  return eliminate_dead(*rewritten, outputs);  // crops and pictures that nothing reads
}

}  // namespace limpid::passes
