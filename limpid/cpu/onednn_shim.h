#pragma once
// The one place that knows oneDNN's version: 2.x describes an operation before its primitive descriptor, 3.x makes both at once
// (and no longer has Winograd).
#include <limpid/runtime/functors.h>

#include <oneapi/dnnl/dnnl.hpp>

namespace limpid::cpu {

using dnnl::memory;

struct Geometry {
  memory::dims stride, dilation, begin, end, kernel;
  Geometry(const Axis& rows, const Axis& columns)
      : stride{rows.stride, columns.stride}, dilation{rows.dilation - 1, columns.dilation - 1}, begin{rows.begin, columns.begin}, end{rows.end, columns.end}, kernel{rows.kernel, columns.kernel} {}
};

inline constexpr bool has_winograd = DNNL_VERSION_MAJOR < 3;

/// Whether oneDNN uses the instructions `wanted` here. Its sets are bits; they are not in order (AVX2's VNNI comes behind AMX).
inline bool uses(dnnl::cpu_isa wanted) {
  static const auto effective = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  return (effective & static_cast<unsigned>(wanted)) == static_cast<unsigned>(wanted);
}

inline const dnnl::engine& engine() {
  static const dnnl::engine e(dnnl::engine::kind::cpu, 0);
  return e;
}

#if DNNL_VERSION_MAJOR >= 3

inline memory::data_type type_of(const memory::desc& d) { return d.get_data_type(); }
inline memory::dims dims_of(const memory::desc& d) { return d.get_dims(); }
inline void append_activation(dnnl::post_ops& ops, dnnl::algorithm a, float alpha, float beta) { ops.append_eltwise(a, alpha, beta); }
inline auto convolution(dnnl::algorithm a, const memory::desc& src, const memory::desc& weights, const memory::desc& bias, const memory::desc& dst, const Geometry& g, const dnnl::primitive_attr& attr) {
  return dnnl::convolution_forward::primitive_desc(engine(), dnnl::prop_kind::forward_inference, a, src, weights, bias, dst, g.stride, g.dilation, g.begin, g.end, attr);
}
inline auto convolution_backward(dnnl::algorithm a, const memory::desc& diff_src, const memory::desc& weights, const memory::desc& diff_dst, const Geometry& g, const dnnl::primitive_attr& attr) {
  const dnnl::convolution_forward::primitive_desc hint(engine(), dnnl::prop_kind::forward_training, a, diff_src, weights, memory::desc(), diff_dst, g.stride, g.dilation, g.begin, g.end);
  return dnnl::convolution_backward_data::primitive_desc(engine(), a, diff_src, weights, diff_dst, g.stride, g.dilation, g.begin, g.end, hint, attr);
}
inline auto pooling(dnnl::prop_kind kind, const memory::desc& src, const memory::desc& dst, const Geometry& g, const dnnl::primitive_attr& attr) {
  return dnnl::pooling_forward::primitive_desc(engine(), kind, dnnl::algorithm::pooling_max, src, dst, g.stride, g.kernel, g.dilation, g.begin, g.end, attr);
}
inline auto pooling_backward(const memory::desc& diff_src, const memory::desc& diff_dst, const Geometry& g, const dnnl::pooling_forward::primitive_desc& hint, const dnnl::primitive_attr& attr) {
  return dnnl::pooling_backward::primitive_desc(engine(), dnnl::algorithm::pooling_max, diff_src, diff_dst, g.stride, g.kernel, g.dilation, g.begin, g.end, hint, attr);
}
inline auto inner_product(const memory::desc& src, const memory::desc& weights, const memory::desc& bias, const memory::desc& dst, const dnnl::primitive_attr& attr) {
  return dnnl::inner_product_forward::primitive_desc(engine(), dnnl::prop_kind::forward_inference, src, weights, bias, dst, attr);
}
inline auto inner_product_backward(const memory::desc& diff_src, const memory::desc& weights, const memory::desc& diff_dst, const dnnl::primitive_attr& attr) {
  const dnnl::inner_product_forward::primitive_desc hint(engine(), dnnl::prop_kind::forward_training, diff_src, weights, memory::desc(), diff_dst);
  return dnnl::inner_product_backward_data::primitive_desc(engine(), diff_src, weights, diff_dst, hint, attr);
}
inline auto matrix_product(const memory::desc& src, const memory::desc& weights, const memory::desc& dst, const dnnl::primitive_attr& attr) {
  return dnnl::matmul::primitive_desc(engine(), src, weights, dst, attr);
}

#else

inline memory::data_type type_of(const memory::desc& d) { return d.data_type(); }
inline memory::dims dims_of(const memory::desc& d) { return d.dims(); }
inline void append_activation(dnnl::post_ops& ops, dnnl::algorithm a, float alpha, float beta) { ops.append_eltwise(1.f, a, alpha, beta); }
inline auto convolution(dnnl::algorithm a, const memory::desc& src, const memory::desc& weights, const memory::desc& bias, const memory::desc& dst, const Geometry& g, const dnnl::primitive_attr& attr) {
  return dnnl::convolution_forward::primitive_desc({dnnl::prop_kind::forward_inference, a, src, weights, bias, dst, g.stride, g.dilation, g.begin, g.end}, attr, engine());
}
inline auto convolution_backward(dnnl::algorithm a, const memory::desc& diff_src, const memory::desc& weights, const memory::desc& diff_dst, const Geometry& g, const dnnl::primitive_attr& attr) {
  const dnnl::convolution_forward::primitive_desc hint({dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, diff_src, weights, diff_dst, g.stride, g.dilation, g.begin, g.end}, engine());
  return dnnl::convolution_backward_data::primitive_desc({a, diff_src, weights, diff_dst, g.stride, g.dilation, g.begin, g.end}, attr, engine(), hint);
}
inline auto pooling(dnnl::prop_kind kind, const memory::desc& src, const memory::desc& dst, const Geometry& g, const dnnl::primitive_attr& attr) {
  return dnnl::pooling_forward::primitive_desc({kind, dnnl::algorithm::pooling_max, src, dst, g.stride, g.kernel, g.begin, g.end}, attr, engine());
}
inline auto pooling_backward(const memory::desc& diff_src, const memory::desc& diff_dst, const Geometry& g, const dnnl::pooling_forward::primitive_desc& hint, const dnnl::primitive_attr& attr) {
  return dnnl::pooling_backward::primitive_desc({dnnl::algorithm::pooling_max, diff_src, diff_dst, g.stride, g.kernel, g.begin, g.end}, attr, engine(), hint);
}
inline auto inner_product(const memory::desc& src, const memory::desc& weights, const memory::desc& bias, const memory::desc& dst, const dnnl::primitive_attr& attr) {
  return dnnl::inner_product_forward::primitive_desc({dnnl::prop_kind::forward_inference, src, weights, bias, dst}, attr, engine());
}
inline auto inner_product_backward(const memory::desc& diff_src, const memory::desc& weights, const memory::desc& diff_dst, const dnnl::primitive_attr& attr) {
  const dnnl::inner_product_forward::primitive_desc hint({dnnl::prop_kind::forward_training, diff_src, weights, diff_dst}, engine());
  return dnnl::inner_product_backward_data::primitive_desc({diff_src, weights, diff_dst}, attr, engine(), hint);
}
inline auto matrix_product(const memory::desc& src, const memory::desc& weights, const memory::desc& dst, const dnnl::primitive_attr& attr) {
  return dnnl::matmul::primitive_desc({src, weights, dst}, attr, engine());
}

#endif

}  // namespace limpid::cpu
