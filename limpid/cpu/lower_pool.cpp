// Max pooling and the classifier by oneDNN; one row of the classifier and global average pooling by own kernels, with f32 on the pooled side.
#include <limpid/cpu/kernels.h>
#include <limpid/cpu/lowering.h>
#include <limpid/runtime/ops.h>
#include <limpid/runtime/parallel.h>

#include <algorithm>

namespace limpid::cpu {

void lower_max_pool(Lowering& l, const Node& n) {
  const auto& a = n.as<PoolAttributes>();
  const int x = n.inputs[0], y = n.outputs[0], taps = n.outputs[1];
  const auto& life = l.schedule().lifetimes[static_cast<std::size_t>(taps)];
  const bool wanted = life.last > life.first;  // a backward op reads which tap won
  // The points of a path lie plain: convolutions on both sides of the pool would each reorder.
  const Operand in = type_of(l.at(x).desc) == l.real() ? l.use(x, l.working(x)) : l.at(x);
  const memory::desc src = in.desc;
  const memory::desc dst(l.dims(y), type_of(src), memory::format_tag::any);
  const auto pd = pooling(wanted ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference, src, dst, Geometry(a.rows, a.columns), user_scratchpad());
  std::vector<std::pair<int, Operand>> arguments{{DNNL_ARG_SRC, in}, {DNNL_ARG_DST, l.define(y, pd.dst_desc())}};
  if (wanted) arguments.emplace_back(DNNL_ARG_WORKSPACE, l.define(taps, pd.workspace_desc()));
  l.add("max_pool", pd, dnnl::pooling_forward(pd), std::move(arguments));
}

void lower_max_pool_backward(Lowering& l, const Node& n) {
  if (const auto* way = l.way_back(n)) return lower_way_back(l, *way, n.inputs[1]);
  const auto& a = n.as<PoolAttributes>();
  const int taps = n.inputs[0], dy = n.inputs[1], dx = n.outputs[0];
  const Geometry geometry(a.rows, a.columns);
  // The forward op decided the layout; its output is the taps' sibling.
  const memory::desc forward = l.at(l.graph().producer(taps).outputs[0]).desc;
  const memory::desc dst = l.same_layout(forward, dy, type_of(forward)), src = l.same_layout(forward, dx, type_of(forward));
  const auto hint = pooling(dnnl::prop_kind::forward_training, src, dst, geometry, user_scratchpad());
  const auto pd = pooling_backward(src, dst, geometry, hint, user_scratchpad());
  const Operand gradient = l.use(dy, dst);
  l.add("max_pool_backward", pd, dnnl::pooling_backward(pd), {{DNNL_ARG_DIFF_DST, gradient}, {DNNL_ARG_WORKSPACE, l.use(taps, hint.workspace_desc())}, {DNNL_ARG_DIFF_SRC, l.define(dx, src)}});
}

void lower_linear(Lowering& l, const Node& n) {
  const int x = n.inputs[0], y = n.outputs[0];
  const Shape& w = l.graph().value(n.inputs[1]).shape;
  const memory::dims dims{w[0], w[1]};
  const memory::desc bias = n.has_input(2) ? memory::desc({w[0]}, memory::data_type::f32, memory::format_tag::a) : memory::desc();
  const auto pd = inner_product(l.plain(x), memory::desc(dims, memory::data_type::f32, memory::format_tag::any), bias, l.plain(y), user_scratchpad());
  std::vector<std::pair<int, Operand>> arguments{{DNNL_ARG_SRC, l.use(x, l.plain(x))}, {DNNL_ARG_WEIGHTS, l.constant(n.inputs[1], dims, pd.weights_desc())}, {DNNL_ARG_DST, l.define(y, l.plain(y))}};
  if (n.has_input(2)) arguments.emplace_back(DNNL_ARG_BIAS, l.constant(n.inputs[2], {w[0]}, bias));
  l.add("linear", pd, dnnl::inner_product_forward(pd), std::move(arguments));
}

void lower_linear_backward(Lowering& l, const Node& n) {
  const int dy = n.inputs[0], dx = n.outputs[0];
  const Shape& w = l.graph().value(n.inputs[1]).shape;
  const memory::dims dims{w[0], w[1]};
  const auto pd = inner_product_backward(l.plain(dx), memory::desc(dims, memory::data_type::f32, memory::format_tag::any), l.plain(dy), user_scratchpad());
  l.add("linear_backward", pd, dnnl::inner_product_backward_data(pd),
        {{DNNL_ARG_DIFF_DST, l.use(dy, l.plain(dy))}, {DNNL_ARG_WEIGHTS, l.constant(n.inputs[1], dims, pd.weights_desc())}, {DNNL_ARG_DIFF_SRC, l.define(dx, l.plain(dx))}});
}

namespace {

/// A constant in plain f32: in place where it is that already, else packed once for all programs.
Operand plain_constant(Lowering& l, int id) {
  const Tensor& t = l.graph().constant_tensor(id);
  if (t.dtype() == DType::f32) return l.use_plain(id);
  const memory::dims dims(t.shape().begin(), t.shape().end());
  return l.constant(id, dims, memory::desc(dims, memory::data_type::f32, plain_tag(dims.size())));
}

/// The index that belongs to each row of value `id`, a value of the graph or a constant: its own, its sample's, or the one for all.
auto index_of_row(const Lowering& l, int id, int index) {
  const Rows own = l.graph().value(index).rows;
  const bool in_sweep = l.in_sweep(id);
  return [=, sweep = l.graph().sweep(), samples = l.options().batch](const void* indices, std::int64_t first_row, std::int64_t r) {
    const std::int64_t row = own == Rows::one ? 0 : in_sweep ? std::min((first_row + r) / sweep, samples - 1) : r;  // a short last pass repeats its last row
    return static_cast<const std::int64_t*>(indices)[row];
  };
}

}  // namespace

void lower_linear_row(Lowering& l, const Node& n) {
  const int x = n.inputs[0], y = n.outputs[0], index = n.inputs[3];
  if (!l.graph().is_constant(n.inputs[1])) return lower_by_reference(l, n);
  const std::int64_t rows = l.rows(x), features = l.graph().value(x).shape[0];
  const auto which = index_of_row(l, x, index);
  l.add("linear_row",
        [=](std::span<void* const> p, std::int64_t first_row, std::int64_t) {
          const auto *in = static_cast<const float*>(p[0]), *weight = static_cast<const float*>(p[1]), *bias = static_cast<const float*>(p[2]);
          parallel_for(rows, [&](std::int64_t r) {
            const std::int64_t o = which(p[3], first_row, r);
            static_cast<float*>(p[4])[r] = kernels::dot(in + r * features, weight + o * features, features) + (bias ? bias[o] : 0.f);
          });
        },
        {l.use(x, l.plain(x)), plain_constant(l, n.inputs[1]), n.has_input(2) ? plain_constant(l, n.inputs[2]) : Operand{}, l.use_plain(index), l.define(y, l.plain(y))});
}

void lower_linear_row_backward(Lowering& l, const Node& n) {
  const int dy = n.inputs[0], dx = n.outputs[0], index = n.inputs[2];
  if (!l.graph().is_constant(n.inputs[1])) return lower_by_reference(l, n);
  const std::int64_t rows = l.rows(dx), features = l.graph().value(dx).shape[0];
  const auto which = index_of_row(l, dx, index);
  l.add("linear_row_backward",
        [=](std::span<void* const> p, std::int64_t first_row, std::int64_t) {
          parallel_for(rows, [&](std::int64_t r) {
            kernels::scale(static_cast<const float*>(p[1]) + which(p[2], first_row, r) * features, static_cast<float*>(p[3]) + r * features, features, static_cast<const float*>(p[0])[r]);
          });
        },
        {l.use(dy, l.plain(dy)), plain_constant(l, n.inputs[1]), l.use_plain(index), l.define(dx, l.plain(dx))});
}

namespace {

/// Channels that lie side by side in a layout: 1 for nchw, 16 for nChw16c, all for nhwc; 0 for a layout without a name.
std::int64_t channel_block(const memory::desc& desc) {
  using Tag = memory::format_tag;
  const auto dims = dims_of(desc);
  const auto is = [&](Tag tag) { return memory::desc(dims, type_of(desc), tag) == desc; };
  return is(Tag::nChw16c) ? 16 : is(Tag::nhwc) ? dims[1] : is(Tag::nchw) ? 1 : is(Tag::nChw8c) ? 8 : 0;
}

/// The layout that the readers of a value will compare it with: that of a sibling operand of an elementwise reader.
memory::desc wanted_layout(const Lowering& l, int id, memory::data_type type) {
  for (const Node& reader : l.graph().nodes()) {
    bool reads = false;
    for (int in : reader.inputs) reads |= in == id;
    if (!reads) continue;
    for (int in : reader.inputs)
      if (in >= 0 && in != id && l.placed(in) && (l.graph().value(in).kind == Kind::real || reader.op == &ops::activation_backward) && l.graph().value(in).shape == l.graph().value(id).shape)
        if (const auto found = l.same_layout(l.at(in).desc, id, type); found.get_size()) return found;
  }
  return l.plain(id, type);
}

}  // namespace

void lower_global_avg_pool(Lowering& l, const Node& n) {
  const int x = n.inputs[0];
  const Shape& s = l.graph().value(x).shape;
  Operand in = l.at(x);
  if (!channel_block(in.desc)) in = l.use(x, l.plain(x, type_of(in.desc)));
  const std::int64_t block = channel_block(in.desc), rows = l.rows(x), channels = s[0], points = s[1] * s[2];
  const bool narrow = type_of(in.desc) == memory::data_type::bf16;
  l.add("global_avg_pool", [=](std::span<void* const> p, std::int64_t, std::int64_t) { kernels::global_average(p[0], narrow, static_cast<float*>(p[1]), rows, channels, points, block); },
        {in, l.define(n.outputs[0], l.plain(n.outputs[0]))});
}

void lower_global_avg_pool_backward(Lowering& l, const Node& n) {
  const int dy = n.inputs[0], dx = n.outputs[0];
  const Shape& s = l.graph().value(dx).shape;
  memory::desc layout = wanted_layout(l, dx, l.real());
  if (!channel_block(layout)) layout = l.plain(dx, l.real());
  const std::int64_t block = channel_block(layout), rows = l.rows(dx), channels = s[0], points = s[1] * s[2];
  const bool narrow = l.real() == memory::data_type::bf16;
  const Operand in = l.use(dy, l.plain(dy));
  l.add("global_avg_pool_backward", [=](std::span<void* const> p, std::int64_t, std::int64_t) { kernels::spread_average(static_cast<const float*>(p[0]), p[1], narrow, rows, channels, points, block); },
        {in, l.define(dx, layout)});
}

}  // namespace limpid::cpu
