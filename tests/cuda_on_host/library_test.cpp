// The stand-in's convolutions and products against loops that are written down from the definition.
#include "on_host.h"

#include <gtest/gtest.h>
#include <limpid/runtime/error.h>

#include <cmath>
#include <cstring>
#include <random>

namespace limpid::cuda {
namespace {

using on_host::Trap;

struct Numbers {
  explicit Numbers(unsigned seed) : generator(seed) {}
  std::vector<float> operator()(std::int64_t n) {
    std::vector<float> v(static_cast<std::size_t>(n));
    for (float& f : v) f = static_cast<float>(bfloat16(std::uniform_real_distribution<float>(-1, 1)(generator)));
    return v;
  }
  std::mt19937 generator;
};

std::vector<std::byte> encode(const std::vector<float>& v, DType type) {
  std::vector<std::byte> bytes(v.size() * size_of(type));
  for (std::size_t i = 0; i < v.size(); ++i) {
    const auto put = [&](auto x) { std::memcpy(bytes.data() + i * sizeof x, &x, sizeof x); };
    if (type == DType::f32) put(v[i]);
    else if (type == DType::bf16) put(bfloat16(v[i]));
    else put(float16(v[i]));
  }
  return bytes;
}
float decode(const std::byte* p, DType type) {
  const auto get = [&](auto x) { return std::memcpy(&x, p, sizeof x), static_cast<float>(x); };
  return type == DType::f32 ? get(0.0f) : type == DType::bf16 ? get(bfloat16()) : get(float16());
}

class OnDevice {
 public:
  OnDevice(Stream& stream, std::vector<std::byte> host) : host_(std::move(host)), memory_(stream.device(), host_.size()) {
    stream.upload(memory_.data(), host_.data(), host_.size());
  }
  std::byte* data() const { return memory_.data(); }

 private:
  std::vector<std::byte> host_;
  DeviceMemory memory_;
};

/// Forward and backward by scattering: every pair of an input and an output that a weight joins.
template <class F>
void every_product(const ConvolutionPattern& p, F&& f) {
  const std::int64_t inner = p.channels / p.groups, outs = p.outputs / p.groups;
  for (std::int64_t n = 0; n < p.images; ++n)
    for (std::int64_t oy = 0; oy < p.out_rows; ++oy)
      for (std::int64_t ox = 0; ox < p.out_columns; ++ox)
        for (std::int64_t k = 0; k < p.outputs; ++k)
          for (std::int64_t r = 0; r < p.vertical.kernel; ++r)
            for (std::int64_t s = 0; s < p.horizontal.kernel; ++s) {
              const std::int64_t y = p.vertical.in(oy, r), x = p.horizontal.in(ox, s);
              if (y < 0 || y >= p.rows || x < 0 || x >= p.columns) continue;
              for (std::int64_t c = 0; c < inner; ++c)
                f(((n * p.rows + y) * p.columns + x) * p.channels + k / outs * inner + c, ((n * p.out_rows + oy) * p.out_columns + ox) * p.outputs + k,
                  ((k * p.vertical.kernel + r) * p.horizontal.kernel + s) * inner + c);
            }
}

void check(ConvolutionPattern p) {
  p.out_rows = p.vertical.out(p.rows);
  p.out_columns = p.horizontal.out(p.columns);
  SCOPED_TRACE(to_string(p));
  Numbers numbers(3);
  const auto in = numbers(p.in_elements()), weight = numbers(p.outputs * p.vertical.kernel * p.horizontal.kernel * p.channels / p.groups), bias = numbers(p.outputs), addend = numbers(p.out_elements());
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(p.out_elements() / 8));
  for (auto& m : mask) m = static_cast<std::uint8_t>(numbers.generator());
  std::vector<double> expected(static_cast<std::size_t>(p.out_elements()));
  every_product(p, [&](std::int64_t x, std::int64_t y, std::int64_t w) {
    const auto ix = static_cast<std::size_t>(x), iy = static_cast<std::size_t>(y), iw = static_cast<std::size_t>(w);
    if (p.backward) expected[ix] += static_cast<double>(in[iy]) * weight[iw];
    else expected[iy] += static_cast<double>(in[ix]) * weight[iw];
  });
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (p.bias) expected[i] += bias[i % static_cast<std::size_t>(p.outputs)];
    if (p.addend) expected[i] += addend[i];
    expected[i] = activate(expected[i], p.activation);
    if (p.mask && p.backward && !(mask[i / 8] >> (i % 8) & 1)) expected[i] = 0;
  }
  const auto plans = library_plans(0, p, false, 10);
  EXPECT_EQ(plans.size(), 3u);
  for (const auto& plan : plans) {
    SCOPED_TRACE(plan->name());
    EXPECT_EQ(library_plan(0, p, plan->name())->name(), plan->name());
    Stream stream(0);
    const OnDevice x(stream, encode(in, p.type)), w(stream, encode(weight, p.type)), b(stream, encode(bias, plan->bias_type())), a(stream, encode(addend, p.type));
    const DeviceMemory out(0, expected.size() * size_of(p.type)), bits(0, mask.size()), workspace(0, plan->workspace_bytes());
    if (p.backward) stream.upload(bits.data(), mask.data(), mask.size());
    plan->run(stream, {x.data(), w.data(), out.data(), p.bias ? b.data() : nullptr, p.addend ? a.data() : nullptr, p.mask ? bits.data() : nullptr, workspace.data()});
    std::vector<std::byte> got(out.bytes());
    std::vector<std::uint8_t> got_bits(mask.size());
    stream.download(got.data(), out.data(), got.size());
    stream.download(got_bits.data(), bits.data(), got_bits.size());
    stream.synchronize();
    const double tolerance = p.type == DType::bf16 ? 2e-2 : p.type == DType::f16 ? 2e-3 : 1e-5;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(decode(got.data() + i * size_of(p.type), p.type), expected[i], tolerance * (1 + std::abs(expected[i]))) << i;
      if (p.mask && !p.backward && std::abs(expected[i]) > 1e-3 && std::abs(expected[i] - 6) > 1e-3) {
        ASSERT_EQ(got_bits[i / 8] >> (i % 8) & 1, expected[i] > 0 && (p.activation != Activation::relu6 || expected[i] < 6)) << i;
      }
    }
  }
}

std::vector<ConvolutionPattern> patterns() {
  std::vector<ConvolutionPattern> all;
  for (const bool backward : {false, true}) {
    const auto add = [&](std::int64_t c, std::int64_t k, std::int64_t rows, std::int64_t columns, Axis v, Axis h, std::int64_t groups, bool fused, Activation activation) {
      ConvolutionPattern p;
      p.backward = backward;
      p.images = 2;
      p.channels = c;
      p.outputs = k;
      p.rows = rows;
      p.columns = columns;
      p.vertical = v;
      p.horizontal = h;
      p.groups = groups;
      p.bias = fused && !backward;
      p.addend = fused;
      p.mask = fused;
      p.activation = backward ? Activation::none : activation;
      all.push_back(p);
    };
    add(16, 24, 9, 7, {3, 1, 1, 1}, {3, 1, 1, 1}, 1, true, Activation::relu);
    add(8, 16, 10, 11, {3, 2, 0, 1}, {5, 2, 1, 2}, 1, true, Activation::relu6);
    add(24, 8, 6, 5, {}, {}, 1, false, Activation::none);
    add(8, 8, 13, 12, {3, 1, 2, 2, 2}, {3, 1, 2, 2, 2}, 1, true, Activation::relu);
    add(32, 32, 8, 9, {3, 1, 1, 1}, {3, 1, 1, 1}, 4, false, Activation::none);
    add(16, 16, 8, 9, {5, 2, 2, 2}, {5, 2, 1, 2}, 16, true, Activation::relu6);
  }
  return all;
}

TEST(Library, ConvolvesInF32) {
  for (const auto& p : patterns()) check(p);
}
TEST(Library, ConvolvesIn16Bits) {
  for (auto p : patterns())
    for (const DType type : {DType::bf16, DType::f16}) {
      p.type = type;
      check(p);
    }
}

TEST(Library, RoundsForTf32) {
  Stream stream(0);
  const OnDevice a(stream, encode({1 + 0x1p-10f, 1 + 0x1p-12f}, DType::f32)), b(stream, encode({1, 1}, DType::f32));
  const DeviceMemory c(0, 16);
  const auto product = [&](std::size_t i, bool tf32) {
    multiply(stream, {1, 1, 1, false, tf32}, reinterpret_cast<const float*>(a.data()) + i, reinterpret_cast<const float*>(b.data()), reinterpret_cast<float*>(c.data()));
    float got = 0;
    stream.download(&got, c.data(), 4);
    stream.synchronize();
    return got;
  };
  EXPECT_EQ(product(0, true), 1 + 0x1p-10f);
  EXPECT_EQ(product(1, true), 1.0f);
  EXPECT_EQ(product(1, false), 1 + 0x1p-12f);
}

TEST(Library, Multiplies) {
  for (const bool transposed : {false, true}) {
    const std::int64_t m = 5, n = 7, k = 37;
    Numbers numbers(4);
    const auto a = numbers(m * k), b = numbers(k * n);
    Stream stream(0);
    const OnDevice da(stream, encode(a, DType::f32)), db(stream, encode(b, DType::f32));
    const DeviceMemory dc(0, static_cast<std::size_t>(m * n) * 4);
    multiply(stream, {m, n, k, transposed}, reinterpret_cast<const float*>(da.data()), reinterpret_cast<const float*>(db.data()), reinterpret_cast<float*>(dc.data()));
    std::vector<float> c(static_cast<std::size_t>(m * n));
    stream.download(c.data(), dc.data(), dc.bytes());
    stream.synchronize();
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (std::int64_t l = 0; l < k; ++l) sum += static_cast<double>(a[static_cast<std::size_t>(i * k + l)]) * b[static_cast<std::size_t>(transposed ? j * k + l : l * n + j)];
        EXPECT_NEAR(c[static_cast<std::size_t>(i * n + j)], sum, 1e-5);
      }
  }
}

TEST(Library, HasWhatItIsToldToHave) {
  const auto before = on_host::settings();
  ConvolutionPattern p = patterns()[0], bare = patterns()[2];
  for (auto* q : {&p, &bare}) {
    q->out_rows = q->vertical.out(q->rows);
    q->out_columns = q->horizontal.out(q->columns);
  }
  const auto has = [&](const ConvolutionPattern& q) { return !library_plans(0, q, true, 8).empty(); };
  EXPECT_EQ(library_plans(0, p, true, 8).size(), 2u);
  EXPECT_EQ(library_plans(0, p, true, 1).size(), 1u);
  EXPECT_EQ(library_plan(0, p, "engine of another library"), nullptr);
  on_host::settings().fusion = on_host::Fusion::no_masks;
  EXPECT_FALSE(has(p));
  p.mask = false;
  EXPECT_TRUE(has(p));
  on_host::settings().fusion = on_host::Fusion::bare;
  EXPECT_FALSE(has(p));
  EXPECT_TRUE(has(bare));
  on_host::settings().fusion = on_host::Fusion::none;
  EXPECT_FALSE(has(bare));
  on_host::settings() = before;
  on_host::settings().major = 7;
  on_host::settings().minor = 5;
  bare.type = DType::bf16;
  EXPECT_FALSE(has(bare));
  bare.type = DType::f16;
  EXPECT_TRUE(has(bare));
  on_host::settings() = before;
  bare.channels = 20;
  EXPECT_THROW(has(bare), Trap);
}

TEST(Library, ComputesOnceWhatIsTimedOften) {
  ConvolutionPattern p = patterns()[2];
  p.out_rows = p.rows;
  p.out_columns = p.columns;
  Stream stream(0);
  const OnDevice in(stream, encode(std::vector<float>(static_cast<std::size_t>(p.in_elements()), 1.0f), DType::f32));
  const OnDevice w(stream, encode(std::vector<float>(static_cast<std::size_t>(p.outputs * p.channels), 1.0f), DType::f32));
  const DeviceMemory out(0, static_cast<std::size_t>(p.out_elements()) * 4);
  const auto plan = std::move(library_plans(0, p, true, 1)[0]);
  const auto before = on_host::counts().plans;
  std::vector<std::unique_ptr<Event>> events;
  plan->run(stream, {in.data(), w.data(), out.data()});
  for (int i = 0; i < 4; ++i) {
    events.push_back(std::make_unique<Event>(0));
    events.back()->record(stream);
    plan->run(stream, {in.data(), w.data(), out.data()});
  }
  float got = 0;
  stream.download(&got, out.data(), 4);
  stream.synchronize();
  EXPECT_EQ(got, static_cast<float>(p.channels));
  EXPECT_EQ(on_host::counts().plans, before + 2) << "the first run, and the last, behind which no event stands";
  EXPECT_GT(events[3]->milliseconds_since(*events[2]), 0.0f);
}

TEST(Library, TrapsWhatDoesNotFit) {
  ConvolutionPattern p = patterns()[2];
  p.out_rows = p.rows;
  p.out_columns = p.columns;
  const auto plans = library_plans(0, p, true, 8);
  Stream stream(0);
  const auto in = static_cast<std::size_t>(p.in_elements()) * 4, out = static_cast<std::size_t>(p.out_elements()) * 4;
  const DeviceMemory a(0, in), w(0, static_cast<std::size_t>(p.outputs * p.channels) * 4), b(0, out), small(0, out - 4);
  EXPECT_THROW(plans[0]->run(stream, {a.data(), w.data(), small.data()}), Trap);
  EXPECT_THROW(plans[0]->run(stream, {a.data(), w.data(), a.data()}), Trap) << "out over in";
  EXPECT_THROW(plans[0]->run(stream, {a.data(), w.data(), nullptr}), Trap);
  EXPECT_THROW(plans[1]->run(stream, {a.data(), w.data(), b.data()}), Trap) << "no workspace";
  plans[0]->run(stream, {a.data(), w.data(), b.data()});
}

}  // namespace
}  // namespace limpid::cuda
