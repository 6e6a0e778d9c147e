// Convolutions by own kernels where the processor has AMX. In bf16 oneDNN's are as fast on large pictures, but slow at 7x7, in gradients of strided
// convolutions and with an addend, and cannot end in a ReLU's backward op; in f32 it does not use the tiles.
#include <limpid/cpu/amx.h>
#include <limpid/cpu/ending.h>
#include <limpid/runtime/ops.h>
#include <limpid/runtime/parallel.h>

namespace limpid::cpu {
namespace {

/// `picture` is what the convolution reads, `result` what it gives: x and y forward, dy and dx backward.
amx::Sizes sizes(const Lowering& l, int picture, int result) {
  const auto in = l.dims(picture), out = l.dims(result);
  return {in[0], in[1], in[2], in[3], out[1], out[2], out[3]};
}

bool on_tiles(const Lowering& l, const Node& n) {
  const auto s = sizes(l, n.inputs[0], n.outputs[0]);
  return on_amx() && n.as<Conv2dAttributes>().groups == 1 && s.channels % 32 == 0 && s.outs % 32 == 0;
}

template <class T>
Operand arranged(const Lowering& l, int id, const amx::Convolution<T>& conv, const std::string& arrangement) {
  const std::int64_t count = conv.weight_count();
  const memory::desc line({count}, memory::data_type::bf16, memory::format_tag::a);
  return {line, -1, pack(l.graph().constant_tensor(id), {count}, line, arrangement, [&](const Tensor& w) {
            Tensor result(Shape{count});
            conv.arrange(w.data<float>(), result.data<float>());
            return result;
          }), {}};
}

template <class T>
constexpr const char* implementation = std::is_same_v<T, float> ? " tiles:amx_3xbf16" : " tiles:amx_bf16";

template <class T>
void add_convolution(Lowering& l, const Node& n) {
  const auto& a = n.as<Conv2dAttributes>();
  const int picture = n.inputs[0];
  const bool forward = n.op == &ops::conv2d;
  const auto make = forward ? amx::Convolution<T>::forward : amx::Convolution<T>::backward;
  const auto conv = make(sizes(l, picture, n.outputs[0]), a.rows, a.columns, thread_count());
  std::string arrangement = (forward ? "forward" : "backward") + std::string(implementation<T>);
  if (!forward)
    for (const Axis& axis : {a.rows, a.columns})
      for (const std::int64_t extent : {axis.stride, axis.begin, axis.dilation}) arrangement += ' ' + std::to_string(extent);

  const Ending ending(l, n);
  const memory::desc scratch({static_cast<std::int64_t>(conv.scratch_bytes())}, memory::data_type::u8, memory::format_tag::a);
  std::vector<Operand> operands{l.use(picture, l.working(picture)), arranged(l, n.inputs[1], conv, arrangement), l.scratchpad(scratch)};
  for (Operand& o : ending.operands(l, picture)) operands.push_back(std::move(o));
  l.add(n.op->name,
        [conv, binding = ending.binding(l)](std::span<void* const> p, std::int64_t, std::int64_t) {
          conv.run(static_cast<const T*>(p[0]), static_cast<const bfloat16*>(p[1]), static_cast<T*>(p[3]), p[2], binding.template operator()<T>(p.subspan(3)));
        },
        std::move(operands), implementation<T>);
}

}  // namespace

bool on_amx() {
  static const bool usable = uses(dnnl::cpu_isa::avx512_core_amx) && amx::available();
  return usable;
}

bool lower_on_tiles(Lowering& l, const Node& n) {
  if (!on_tiles(l, n)) return false;
  l.real() == memory::data_type::bf16 ? add_convolution<bfloat16>(l, n) : add_convolution<float>(l, n);
  return true;
}

}  // namespace limpid::cpu
