// 3x3 convolutions in f32 by own Winograd transforms around matrix products, AMX's or oneDNN's, forward and as gradients: where oneDNN has no Winograd
// (3.x), and at few points, where all pictures' tiles together fill the registers better.
#include <limpid/cpu/amx.h>
#include <limpid/cpu/ending.h>
#include <limpid/cpu/winograd.h>
#include <limpid/runtime/ops.h>
#include <limpid/runtime/parallel.h>

#include <algorithm>
#include <atomic>

namespace limpid::cpu {
namespace {

/// Processor time for 50 rows on one core with AVX-512 and AMX, ms, by this with AMX's products / with oneDNN's / by the tiles without Winograd: 512 channels
/// at 7x7 36 / 36 / 38 (ten rows a pass), 256 at 14x14 21 / 25 / 27. With oneDNN's products, 128 at 28x28 takes 28 against 26 of oneDNN 2.6's own Winograd,
/// 64 at 56x56 37 against 29: there the spread tiles leave the cache. `image`: the value whose extent both sides have. Only sweeps use it: the packed
/// weights are four times as large.
bool pays(const Lowering& l, const Node& n, int image) {
  if (l.options().precision != Precision::f32 || !l.in_sweep(image)) return false;
  const auto& a = n.as<Conv2dAttributes>();
  const Shape &x = l.graph().value(image).shape, &w = l.graph().value(n.inputs[1]).shape;
  const auto fits = [](const Axis& axis) { return axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1 && axis.begin >= 0 && axis.begin <= 2; };
  if (a.groups != 1 || !fits(a.rows) || !fits(a.columns) || w[0] % 64 || w[1] % 64 || l.working_tag(w[0]) != memory::format_tag::nChw16c) return false;
  const std::int64_t least = std::min(x[1], x[2]), most = std::max(x[1], x[2]);
  return least >= 5 && most < (has_winograd ? 28 : 60) && std::min(w[0], w[1]) >= (has_winograd ? 128 : 64);
}

memory::desc matrices(std::int64_t count, std::int64_t rows, std::int64_t columns, memory::format_tag tag = memory::format_tag::abc) {
  return {{count, rows, columns}, memory::data_type::f32, tag};
}

/// The products by oneDNN: all products' weights in the layout that it wants, of which each run takes its own.
void multiply(Lowering& l, const Node& n, const winograd::Plan& plan, const Operand& spread, const Operand& sums, bool turned, std::string_view name) {
  const auto part = [](Operand whole, const memory::desc& desc, std::int64_t floats) {
    whole.desc = desc;
    whole.offset = static_cast<std::size_t>(floats) * sizeof(float);
    return whole;
  };
  const std::int64_t all = winograd::products, most = plan.tiles[0], in = plan.channels, out = plan.outs;
  const memory::desc wanted = matrix_product(matrices(all, most, in), matrices(all, in, out, memory::format_tag::any), matrices(all, most, out), user_scratchpad()).weights_desc();
  const auto matrix = static_cast<std::int64_t>(wanted.get_size() / sizeof(float)) / all;
  const auto packed =
      pack(l.graph().constant_tensor(n.inputs[1]), {all, in, out}, wanted, turned ? "winograd turned" : "winograd", [&](const Tensor& floats) { return winograd::weights(floats, turned); });
  const Operand weights{{}, -1, packed, {}};
  for (const auto [begin, end] : plan.runs) {
    const std::int64_t count = end - begin, tiles = plan.tiles[begin], first = plan.first[begin];
    const memory::desc from = matrices(count, tiles, in), to = matrices(count, tiles, out), by = wanted.submemory_desc({count, in, out}, {0, 0, 0});
    const auto pd = matrix_product(from, by, to, user_scratchpad());
    l.add(name, pd, dnnl::matmul(pd), {{DNNL_ARG_SRC, part(spread, from, first * in)}, {DNNL_ARG_WEIGHTS, part(weights, by, begin * matrix)}, {DNNL_ARG_DST, part(sums, to, first * out)}});
  }
}

/// The same on AMX's tiles.
void multiply_on_tiles(Lowering& l, const Node& n, const winograd::Plan& plan, const Operand& spread, const Operand& sums, bool turned, std::string_view name) {
  const amx::Product product(plan.channels, plan.outs);
  const std::int64_t each = product.weight_count(), count = winograd::products * each, matrix = plan.channels * plan.outs;
  const memory::desc line({count}, memory::data_type::bf16, memory::format_tag::a);
  const auto packed = pack(l.graph().constant_tensor(n.inputs[1]), {count}, line, turned ? "winograd turned tiles" : "winograd tiles", [&](const Tensor& floats) {
    const Tensor w = winograd::weights(floats, turned);
    Tensor result(Shape{count});
    for (std::int64_t k = 0; k < winograd::products; ++k) product.arrange(w.data<float>() + k * matrix, result.data<float>() + k * each);
    return result;
  });
  const int workers = thread_count(), shares = std::clamp((workers + 3) / 4, 1, static_cast<int>(plan.outs / 32));  // of a product's outs
  const auto own = static_cast<std::int64_t>(product.scratch_bytes());
  l.add(name,
        [=](std::span<void* const> m, std::int64_t, std::int64_t) {
          std::atomic<std::int64_t> next{0};  // the large products come first, so that the workers end together
          parallel_for(workers, [&](std::int64_t worker) {
            for (std::int64_t i = next++; i < winograd::products * shares; i = next++) {
              const std::int64_t k = i / shares;
              product.run(static_cast<const float*>(m[0]) + plan.first[k] * plan.channels, plan.tiles[k], static_cast<const bfloat16*>(m[1]) + k * each,
                          static_cast<float*>(m[2]) + plan.first[k] * plan.outs, static_cast<char*>(m[3]) + worker * own, static_cast<int>(i % shares), shares);
            }
          });
        },
        {spread, {line, -1, packed, {}}, sums, l.scratchpad(memory::desc({workers * own}, memory::data_type::u8, memory::format_tag::a))}, " winograd:amx_3xbf16");
}

}  // namespace

bool lower_by_winograd(Lowering& l, const Node& n) {
  const bool turned = n.op != &ops::conv2d;
  if (!pays(l, n, turned ? n.outputs[0] : n.inputs[0])) return false;
  const int picture = n.inputs[0];
  const std::string_view name = n.op->name;
  const auto in = l.dims(picture), out = l.dims(n.outputs[0]);
  const auto& a = n.as<Conv2dAttributes>();
  const auto zeros = [&](const Axis& axis) { return turned ? 2 - axis.begin : axis.begin; };
  const winograd::Plan plan(in[0], in[1], in[2], in[3], out[1], out[2], out[3], zeros(a.rows), zeros(a.columns));
  const Ending ending(l, n);
  const Operand spread = l.scratchpad(matrices(1, plan.all_tiles, in[1])), sums = l.scratchpad(matrices(1, plan.all_tiles, out[1]));
  l.add(name, [plan](std::span<void* const> m, std::int64_t, std::int64_t) { winograd::spread(static_cast<const float*>(m[0]), static_cast<float*>(m[1]), plan); },
        {l.use(picture, l.working(picture)), spread}, " winograd:spread");
  (on_amx() ? multiply_on_tiles : multiply)(l, n, plan, spread, sums, turned, name);

  std::vector<Operand> operands{sums};
  for (Operand& o : ending.operands(l, -1)) operands.push_back(std::move(o));  // the picture is spread by now: its buffer may be the addend's too
  l.add(name,
        [plan, binding = ending.binding(l)](std::span<void* const> m, std::int64_t, std::int64_t) {
          winograd::gather(static_cast<const float*>(m[0]), static_cast<float*>(m[1]), plan, binding.operator()<float>(m.subspan(1)));
        },
        std::move(operands), " winograd:gather");
  return true;
}

}  // namespace limpid::cpu
