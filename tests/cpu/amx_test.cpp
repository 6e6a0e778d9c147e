// f32 on AMX's bf16 tiles: as exact as f32's own arithmetic, at any magnitude, and what is not finite stays so.
#include <limpid/cpu/amx.h>

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <vector>

namespace limpid::testing {
namespace {

using cpu::amx::Product;

/// y [rows, outs] = x [rows, channels] w [channels, outs] on the tiles, by two workers one after the other.
std::vector<float> on_tiles(const std::vector<float>& x, const std::vector<float>& w, std::int64_t rows, std::int64_t channels, std::int64_t outs) {
  const Product product(channels, outs);
  std::vector<float> parts(static_cast<std::size_t>(product.weight_count())), y(static_cast<std::size_t>(rows * outs), -7);
  product.arrange(w.data(), parts.data());
  const std::vector<bfloat16> weights(parts.begin(), parts.end());
  for (std::size_t i = 0; i < parts.size(); ++i) EXPECT_EQ(static_cast<float>(weights[i]), parts[i]) << "a part is a bf16";
  struct Free { void operator()(void* p) const { std::free(p); } };
  const std::unique_ptr<void, Free> scratch(std::aligned_alloc(64, (product.scratch_bytes() + 63) / 64 * 64));
  for (int worker = 0; worker < 2; ++worker) product.run(x.data(), rows, weights.data(), y.data(), scratch.get(), worker, 2);
  return y;
}

class Amx : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!cpu::amx::available()) GTEST_SKIP() << "NOT TESTED: this processor has no AMX";
  }
};

TEST_F(Amx, ProductsByPartsAreAsExactAsF32) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> mantissa(-1, 1);
  for (const auto [rows, channels, outs] : {std::array<std::int64_t, 3>{1, 32, 32}, {33, 96, 64}, {700, 64, 96}, {47, 512, 32}})
    for (const int spread : {0, 8}) {  // orders of magnitude, as powers of two, to both sides
      std::uniform_int_distribution<int> exponent(-spread, spread);
      std::vector<float> x(static_cast<std::size_t>(rows * channels)), w(static_cast<std::size_t>(channels * outs));
      for (auto* values : {&x, &w})
        for (float& v : *values) v = std::ldexp(mantissa(random), exponent(random));
      const std::vector<float> y = on_tiles(x, w, rows, channels, outs);
      double squares = 0, of_f32 = 0;
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < outs; ++j) {
          double exact = 0, size = 0;
          float plain = 0;
          for (std::int64_t k = 0; k < channels; ++k) {
            const float a = x[static_cast<std::size_t>(i * channels + k)], b = w[static_cast<std::size_t>(k * outs + j)];
            exact += static_cast<double>(a) * b, size += std::abs(static_cast<double>(a) * b), plain = std::fma(a, b, plain);
          }
          const double off = (y[static_cast<std::size_t>(i * outs + j)] - exact) / size;
          EXPECT_LT(std::abs(off), 1e-6) << i << ' ' << j;
          squares += off * off, of_f32 += (plain - exact) * (plain - exact) / size / size;
        }
      EXPECT_LE(squares, 2 * of_f32 + 1e-14) << rows << 'x' << channels << 'x' << outs << ": less exact than a sum of f32";
    }
}

TEST_F(Amx, WhatIsNotFiniteStaysSo) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> x(3 * 32, 1), w(32 * 32, 1);
  x[5] = infinity, x[32 + 7] = -infinity, x[64 + 9] = std::nanf("");
  const std::vector<float> y = on_tiles(x, w, 3, 32, 32);
  for (std::size_t j = 0; j < 32; ++j) {
    // An infinity times a weight's lower parts, which are zero, is no number: so is the sum, as that of infinities may be.
    EXPECT_FALSE(std::isfinite(y[j]));
    EXPECT_FALSE(std::isfinite(y[32 + j]));
    EXPECT_TRUE(std::isnan(y[64 + j]));
  }
}

}  // namespace
}  // namespace limpid::testing
