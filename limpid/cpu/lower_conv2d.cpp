// Convolutions by oneDNN, in the one layout that the whole program keeps to: weights packed once, bias, addend and activation as post-ops.
// The gradient of the input is a convolution too, with the weights turned: by Winograd where that pays, or for an image's few channels
// on a stride's finer grid.
#include <limpid/cpu/kernels.h>
#include <limpid/cpu/lowering.h>
#include <limpid/runtime/ops.h>

#include <optional>

namespace limpid::cpu {
namespace {

constexpr auto direct = dnnl::algorithm::convolution_direct, winograd = dnnl::algorithm::convolution_winograd;

constexpr std::int64_t vector = 16;  // channels that fill a register

/// [O,C/g,kh,kw]; with groups [g,O/g,C/g,kh,kw].
memory::dims weight_dims(const Shape& w, std::int64_t groups) {
  if (groups == 1) return {w[0], w[1], w[2], w[3]};
  return {groups, w[0] / groups, w[1], w[2], w[3]};
}

memory::desc any(const memory::dims& dims, memory::data_type type) { return {dims, type, memory::format_tag::any}; }

/// F(4x4, 3x3) does a quarter of the multiplications. Measured on two cores with AMX, GFLOP/s (effective) with ten and with twenty rows, against direct's
/// 390-470: 64 channels, 10x10 outputs of a crop 490, 490; 128 channels, 12x12 750, 1070; 256 channels, 10x10 700, 720, 12x12 985, 1080, 14x14 870, 890;
/// 512 channels, 7x7 680, 850 (with two rows it loses). Only sweeps use it: the packed weights are four times as large. The rule must not depend on
/// how a batch is cut, so rows do not enter it.
bool winograd_pays(const Lowering& l, const Node& n, int image) {
  if (!has_winograd || l.options().precision != Precision::f32 || !l.in_sweep(image)) return false;
  const auto& a = n.as<Conv2dAttributes>();
  const Shape &x = l.graph().value(image).shape, &w = l.graph().value(n.inputs[1]).shape;
  for (const auto& [axis, extent] : {std::pair{a.rows, x[1]}, std::pair{a.columns, x[2]}})
    if ((axis != Axis{3, 1, 1, 1, 1} && axis != Axis{3, 1, 0, 0, 1}) || axis.out(extent) < 7) return false;
  return a.groups == 1 && w[0] >= 32 && w[1] >= 32 && w[0] % 16 == 0 && w[1] % 16 == 0;
}

/// oneDNN's implementations without generated code for the shape: a tenth of the speed and less.
bool is_slow(std::string_view implementation) { return implementation.find("ref") != implementation.npos || implementation.find("gemm:") != implementation.npos; }

/// The first descriptor that `make` gives with a fast implementation, over the algorithms and the layouts to try; else the first that it gives.
template <class Make>
auto first_fast(bool try_winograd, std::initializer_list<std::pair<memory::desc, memory::desc>> layouts, Make make) -> decltype(make(direct, memory::desc(), memory::desc())) {
  std::optional<decltype(make(direct, memory::desc(), memory::desc()))> slow;
  std::string refusal;
  for (const auto algorithm : {winograd, direct})
    for (const auto& [image, result] : layouts) {
      if (algorithm == winograd && !try_winograd) continue;
      try {
        auto pd = make(algorithm, image, result);
        if (!is_slow(pd.impl_info_str())) return pd;
        if (!slow && algorithm == direct) slow = std::move(pd);
      } catch (const dnnl::error& e) {
        refusal = e.what();
      }
    }
  if (!slow) fail(ErrorCode::internal, "cpu: oneDNN has no convolution for this: ", refusal);
  return std::move(*slow);
}

/// One convolution: what it reads and what happens behind it.
struct Convolution {
  int x, y;  // values
  int bias = -1, addend = -1;
  Activation activation = Activation::none;
  Geometry geometry;
  bool winograd = false;
  memory::dims weights;
  std::string_view name = "conv2d";
};

bool makes_path(const Graph& graph, int id) {
  for (const Node& n : graph.nodes())
    if (n.op == &ops::path_points && (n.inputs[0] == id || n.inputs[1] == id)) return true;
  return false;
}

dnnl::primitive_attr post_operations(const Convolution& c, const memory::desc* second_operand) {
  dnnl::post_ops post;
  if (c.addend >= 0 && second_operand) post.append_binary(dnnl::algorithm::binary_add, *second_operand);
  if (c.addend >= 0 && !second_operand) post.append_sum();
  if (c.activation == Activation::relu) append_activation(post, dnnl::algorithm::eltwise_relu, 0, 0);
  if (c.activation == Activation::relu6) append_activation(post, dnnl::algorithm::eltwise_clip, 0, 6);
  auto attr = user_scratchpad();
  attr.set_post_ops(post);
  return attr;
}

/// `packed` gives the weights in the layout that the primitive wants.
template <class Packed>
void add_convolution(Lowering& l, const Convolution& c, Packed packed) {
  // A convolution hoisted out of a sweep stays f32: its two results serve all points, which would share one rounding.
  const auto type = !l.in_sweep(c.y) && c.addend < 0 && makes_path(l.graph(), c.y) ? memory::data_type::f32 : l.real();
  const memory::desc bias = c.bias >= 0 ? memory::desc({l.dims(c.y)[1]}, memory::data_type::f32, memory::format_tag::a) : memory::desc();
  const auto tag = [&](int id) { return l.working_tag(l.dims(id)[1]); };
  const memory::desc x(l.dims(c.x), type, tag(c.x)), y(l.dims(c.y), type, tag(c.y)), any_x = any(l.dims(c.x), type), any_y = any(l.dims(c.y), type);
  const auto make = [&](const memory::desc* second_operand) {
    const auto attr = post_operations(c, second_operand);
    return first_fast(c.winograd, {{x, y}, {any_x, y}, {any_x, any_y}},
                      [&](auto algorithm, const auto& src, const auto& dst) { return convolution(algorithm, src, any(c.weights, type), bias, dst, c.geometry, attr); });
  };

  // `sum` adds into what the destination holds. Where the addend dies here and lies in the destination's layout, its buffer becomes the
  // destination; else a direct convolution reads it as a second operand, and Winograd, which cannot, gets a copy to add into.
  auto pd = make(nullptr);
  std::vector<std::pair<int, Operand>> arguments;
  if (c.addend < 0) {
    l.define(c.y, pd.dst_desc());
  } else if (l.at(c.addend).desc == pd.dst_desc() && l.at(c.addend).buffer != l.at(c.x).buffer && l.take_over(c.y, c.addend)) {
    // sum, in place
  } else {
    const memory::desc dst = pd.dst_desc();
    const bool copies = std::string_view(pd.impl_info_str()).find("wino") != std::string_view::npos;
    if (!copies) {
      auto binary = make(&dst);
      if (binary.dst_desc() == dst && !is_slow(binary.impl_info_str())) {
        pd = std::move(binary);
        arguments.emplace_back(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, l.use(c.addend, dst));
        l.define(c.y, dst);
      }
    }
    if (arguments.empty()) {
      const Operand from = l.at(c.addend), to = l.define(c.y, dst);
      const dnnl::reorder::primitive_desc copy(engine(), from.desc, engine(), to.desc);
      l.add("copy", copy, dnnl::reorder(copy), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
    }
  }
  arguments.emplace_back(DNNL_ARG_SRC, l.use(c.x, pd.src_desc()));
  arguments.emplace_back(DNNL_ARG_WEIGHTS, packed(pd.weights_desc()));
  if (c.bias >= 0) arguments.emplace_back(DNNL_ARG_BIAS, l.constant(c.bias, {l.dims(c.y)[1]}, bias));
  arguments.emplace_back(DNNL_ARG_DST, l.at(c.y));
  l.add(c.name, pd, dnnl::convolution_forward(pd), std::move(arguments));
}

/// [O,C,kh,kw] -> [C,O,kh,kw] with rows and columns reversed: the convolution by it is the gradient of the one by `w`, at stride 1.
Tensor turned(const Tensor& w) {
  const Shape& s = w.shape();
  const std::int64_t taps = s[2] * s[3];
  Tensor result(Shape{s[1], s[0], s[2], s[3]});
  const float* from = w.data<float>();
  float* to = result.data<float>();
  for (std::int64_t o = 0; o < s[0]; ++o)
    for (std::int64_t c = 0; c < s[1]; ++c)
      for (std::int64_t t = 0; t < taps; ++t) to[(c * s[0] + o) * taps + taps - 1 - t] = from[(o * s[1] + c) * taps + t];
  return result;
}

/// One axis of a strided convolution's gradient as a stride-1 convolution that gives, for each coarse point q, the `stride` fine points
/// stride*q + phase: fine point i gets output o by tap k where i = stride*o - begin + k, so that o = q - t with k = stride*t + phase + begin.
struct FineAxis {
  explicit FineAxis(const Axis& a, std::int64_t fine, std::int64_t outs) : stride(a.stride), begin(a.begin), kernel(a.kernel) {
    first = -((begin + stride - 1) / stride);
    last = (kernel - 1 - begin) / stride;
    coarse = (fine + stride - 1) / stride;
    axis = {last - first + 1, 1, last, coarse + (last - first) - outs - last, 1};
  }
  /// The tap of the strided kernel at tap u of the coarse one; may lie outside [0, kernel).
  std::int64_t tap(std::int64_t u, std::int64_t phase) const { return stride * (last - u) + phase + begin; }
  std::int64_t stride, begin, kernel, first, last, coarse;
  Axis axis;
};

/// An image has few channels, and its gradient would fill a fraction of a vector register: 30 GFLOP/s a core, against 125 when the
/// points of a stride are the channels of a convolution on the coarse grid.
bool fine_grid_pays(const Lowering& l, const Node& n) {
  const auto& a = n.as<Conv2dAttributes>();
  const Shape& dx = l.graph().value(n.outputs[0]).shape;
  const bool strided = a.rows.stride > 1 && a.rows.stride == a.columns.stride && a.rows.dilation == 1 && a.columns.dilation == 1;
  if (!strided || a.groups != 1 || dx[0] * a.rows.stride * a.rows.stride > vector) return false;
  const Shape& dy = l.graph().value(n.inputs[0]).shape;
  for (const auto& [axis, i] : {std::pair{a.rows, 1}, std::pair{a.columns, 2}}) {
    const FineAxis f(axis, dx[i], dy[i]);
    if (axis.kernel - 1 < axis.begin || f.axis.begin < 0 || f.axis.end < 0) return false;
  }
  return true;
}

Tensor fine_weights(const Tensor& w, const FineAxis& rows, const FineAxis& columns) {
  const Shape& s = w.shape();
  Tensor result(Shape{s[1] * rows.stride * columns.stride, s[0], rows.axis.kernel, columns.axis.kernel});
  float* to = result.data<float>();
  for (std::int64_t c = 0; c < s[1]; ++c)
    for (std::int64_t py = 0; py < rows.stride; ++py)
      for (std::int64_t px = 0; px < columns.stride; ++px)
        for (std::int64_t o = 0; o < s[0]; ++o)
          for (std::int64_t uy = 0; uy < rows.axis.kernel; ++uy)
            for (std::int64_t ux = 0; ux < columns.axis.kernel; ++ux, ++to) {
              const std::int64_t ky = rows.tap(uy, py), kx = columns.tap(ux, px);
              if (ky >= 0 && ky < s[2] && kx >= 0 && kx < s[3]) *to = w.data<float>()[((o * s[1] + c) * s[2] + ky) * s[3] + kx];
            }
  return result;
}

void lower_on_fine_grid(Lowering& l, const Node& n) {
  const auto& a = n.as<Conv2dAttributes>();
  const int dy = n.inputs[0], dx = n.outputs[0];
  const memory::dims out = l.dims(dx), in = l.dims(dy);
  const FineAxis rows(a.rows, out[2], in[2]), columns(a.columns, out[3], in[3]);
  const std::int64_t stride = rows.stride, channels = out[1] * stride * stride;
  const auto type = l.real();
  const Geometry geometry(rows.axis, columns.axis);
  const memory::dims weights{channels, in[1], rows.axis.kernel, columns.axis.kernel};
  const auto tag = l.working_tag(vector);
  const memory::desc coarse({out[0], channels, rows.coarse, columns.coarse}, type, tag);
  const auto pd = first_fast(false, {{l.working(dy), coarse}, {l.any(dy), coarse}},
                             [&](auto algorithm, const auto& src, const auto& dst) { return convolution(algorithm, src, any(weights, type), {}, dst, geometry, user_scratchpad()); });
  const Operand fine = l.scratchpad(coarse);
  const Tensor& w = l.graph().constant_tensor(n.inputs[1]);
  const std::string arrangement = "fine " + std::to_string(stride) + ' ' + std::to_string(a.rows.begin) + ' ' + std::to_string(a.columns.begin);
  const auto packed = pack(w, weights, pd.weights_desc(), arrangement, [&](const Tensor& floats) { return fine_weights(floats, rows, columns); });
  l.add("conv2d_backward_data by points of a stride", pd, dnnl::convolution_forward(pd),
        {{DNNL_ARG_SRC, l.use(dy, pd.src_desc())}, {DNNL_ARG_WEIGHTS, {pd.weights_desc(), -1, packed, {}}}, {DNNL_ARG_DST, fine}});
  const std::int64_t block = tag == memory::format_tag::nhwc ? channels : tag == memory::format_tag::nChw8c ? 8 : 16;
  const bool narrow = type == memory::data_type::bf16;
  l.add("interleave",
        [=, coarse_rows = rows.coarse, coarse_columns = columns.coarse](std::span<void* const> p, std::int64_t, std::int64_t) {
          kernels::interleave(p[0], p[1], narrow, {out[0], out[1], out[2], out[3], stride, coarse_rows, coarse_columns, block});
        },
        {fine, l.define(dx, l.plain(dx, type))});
}

}  // namespace

void lower_conv2d(Lowering& l, const Node& n) {
  if (lower_by_winograd(l, n) || lower_on_tiles(l, n)) return;
  const auto& a = n.as<Conv2dAttributes>();
  const auto dims = weight_dims(l.graph().value(n.inputs[1]).shape, a.groups);
  const auto input = [&](int i) { return n.has_input(i) ? n.inputs[static_cast<std::size_t>(i)] : -1; };
  const Convolution c{n.inputs[0], n.outputs[0], input(2), input(3), a.activation, Geometry(a.rows, a.columns), winograd_pays(l, n, n.inputs[0]), dims};
  add_convolution(l, c, [&](const memory::desc& wanted) { return l.constant(n.inputs[1], dims, wanted); });
}

void lower_conv2d_backward_data(Lowering& l, const Node& n) {
  if (lower_by_winograd(l, n) || lower_on_tiles(l, n)) return;
  const auto& a = n.as<Conv2dAttributes>();
  const int dy = n.inputs[0], dx = n.outputs[0];
  const Shape& w = l.graph().value(n.inputs[1]).shape;
  if (a.rows.begin == 1 && a.columns.begin == 1 && winograd_pays(l, n, dx)) {
    // Padding 1 turns into padding 1 (none would turn into 2). oneDNN's own backward Winograd is slower from 28x28 points down: half as fast at 14x14.
    const memory::dims dims{w[1], w[0], w[2], w[3]};
    const Convolution c{dy, dx, -1, -1, Activation::none, Geometry(a.rows, a.columns), true, dims, "conv2d_backward_data"};
    return add_convolution(l, c, [&](const memory::desc& wanted) -> Operand { return {wanted, -1, pack(l.graph().constant_tensor(n.inputs[1]), dims, wanted, "turned", turned), {}}; });
  }
  if (fine_grid_pays(l, n)) return lower_on_fine_grid(l, n);

  const auto type = l.real();
  const auto dims = weight_dims(w, a.groups);
  const Geometry geometry(a.rows, a.columns);
  const auto pd = first_fast(false, {{l.working(dx), l.working(dy)}, {l.any(dx), l.working(dy)}, {l.any(dx), l.any(dy)}}, [&](auto algorithm, const auto& image, const auto& result) {
    return convolution_backward(algorithm, image, any(dims, type), result, geometry, user_scratchpad());
  });
  const Operand out = l.define(dx, pd.diff_src_desc());
  l.add("conv2d_backward_data", pd, dnnl::convolution_backward_data(pd),
        {{DNNL_ARG_DIFF_DST, l.use(dy, pd.diff_dst_desc())}, {DNNL_ARG_WEIGHTS, l.constant(n.inputs[1], dims, pd.weights_desc())}, {DNNL_ARG_DIFF_SRC, out}});
}

}  // namespace limpid::cpu
