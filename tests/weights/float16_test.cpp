// The two 16-bit floats against definitions that leave nothing to chance: every value, and every tie between neighbours.
#include <limpid/runtime/dtype.h>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace limpid {
namespace {

/// What the bits mean, by the definition of a binary float with so many bits of exponent and mantissa.
double meaning(std::uint32_t bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
  const int exponent = static_cast<int>(bits >> mantissa_bits) & top;
  const std::uint32_t mantissa = bits & ((1u << mantissa_bits) - 1);
  const double sign = bits >> (exponent_bits + mantissa_bits) ? -1 : 1;
  if (exponent == top) return mantissa ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1u << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

template <class T>
T from_bits(std::uint32_t bits) {
  T value;
  value.bits = static_cast<std::uint16_t>(bits);
  return value;
}

template <class T, int exponent_bits, int mantissa_bits>
void check_every_value() {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const double wanted = meaning(bits, exponent_bits, mantissa_bits);
    const float value = from_bits<T>(bits);
    if (std::isnan(wanted)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_TRUE(std::isnan(static_cast<float>(T(value)))) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(value), wanted) << bits;
    ASSERT_EQ(std::signbit(value), bits > 32767) << bits;
    ASSERT_EQ(T(value).bits, bits);
  }
}

/// Between each two neighbours: the middle goes to the even one, the floats beside the middle to the nearer one.
template <class T, int exponent_bits, int mantissa_bits>
void check_every_tie() {
  const std::uint32_t infinity = ((1u << exponent_bits) - 1) << mantissa_bits;
  for (std::uint32_t low = 0; low < infinity; ++low) {
    const double below = meaning(low, exponent_bits, mantissa_bits);
    // The neighbour of the largest number is where infinity would be if there were no end.
    const double above = low + 1 < infinity ? meaning(low + 1, exponent_bits, mantissa_bits) : std::ldexp(1.0, 1 << (exponent_bits - 1));
    const float middle = static_cast<float>((below + above) / 2);
    ASSERT_EQ(static_cast<double>(middle), (below + above) / 2) << low;
    const float less = std::nextafterf(middle, 0), more = std::nextafterf(middle, std::numeric_limits<float>::infinity());
    ASSERT_EQ(T(less).bits, low);
    ASSERT_EQ(T(middle).bits, low + low % 2);
    ASSERT_EQ(T(more).bits, low + 1);
    ASSERT_EQ(T(-less).bits, low | 0x8000u);
    ASSERT_EQ(T(-middle).bits, (low + low % 2) | 0x8000u);
    ASSERT_EQ(T(-more).bits, (low + 1) | 0x8000u);
  }
}

TEST(Float16, EveryValueRoundTrips) { check_every_value<float16, 5, 10>(); }
TEST(Float16, EveryTieRoundsToEven) { check_every_tie<float16, 5, 10>(); }
TEST(Bfloat16, EveryValueRoundTrips) { check_every_value<bfloat16, 8, 7>(); }
TEST(Bfloat16, EveryTieRoundsToEven) { check_every_tie<bfloat16, 8, 7>(); }

TEST(Float16, Extremes) {
  constexpr float infinity = std::numeric_limits<float>::infinity(), most = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(float16(infinity).bits, 0x7c00);
  EXPECT_EQ(float16(-infinity).bits, 0xfc00);
  EXPECT_EQ(float16(most).bits, 0x7c00);
  EXPECT_EQ(float16(65504.f).bits, 0x7bff);
  EXPECT_EQ(float16(least).bits, 0);
  EXPECT_EQ(float16(-least).bits, 0x8000);
  EXPECT_EQ(float16(-0.f).bits, 0x8000);
  EXPECT_EQ(bfloat16(infinity).bits, 0x7f80);
  EXPECT_EQ(bfloat16(most).bits, 0x7f80);
  EXPECT_EQ(bfloat16(-0.f).bits, 0x8000);
  for (const std::uint32_t nan : {0x7f800001u, 0x7fffffffu, 0xff800001u, 0x7fc00000u}) {  // none may turn into infinity
    EXPECT_TRUE(std::isnan(static_cast<float>(float16(std::bit_cast<float>(nan)))));
    EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(std::bit_cast<float>(nan)))));
  }
}

}  // namespace
}  // namespace limpid
