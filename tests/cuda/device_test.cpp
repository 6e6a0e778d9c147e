// The backend on a real device; skipped, and said so, where there is none.
#include "../support/op_cases.h"

#include <limpid/cuda/convolution.h>
#include <limpid/runtime/error.h>

#include <cmath>

namespace limpid::testing {
namespace {

#define LIMPID_NEEDS_DEVICE() \
  if (cuda::device_list().empty()) GTEST_SKIP() << "NOT TESTED: no NVIDIA device. " << cuda::why_no_device()

TEST(CudaDevice, SaysWhyThereIsNone) {
  if (!cuda::device_list().empty()) GTEST_SKIP() << "NOT TESTED: there is a device";
  EXPECT_NE(cuda::why_no_device().find("--device cpu"), std::string::npos) << cuda::why_no_device();
  try {
    choose_backend("cuda");
    ADD_FAILURE() << "chosen";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::not_found);
    EXPECT_EQ(e.what(), cuda::why_no_device());
  }
  EXPECT_THROW(cuda::Stream(0), Error);
  EXPECT_THROW(cuda::DeviceMemory(0, 16), Error);
}

class CudaOp : public ::testing::TestWithParam<OpCase> {
 protected:
  template <class Measure>
  void agrees(Precision precision, Measure difference, double tolerance) const {
    if (!cuda_backend()->supports(precision)) GTEST_SKIP() << "NOT TESTED: this device has no " << name_of(precision);
    for (const Variant variant : variants(GetParam()))
      for (const std::int64_t batch : {1, 3}) {
        const BuiltCase b = build(GetParam(), variant, batch);
        const auto expected = run(b, on("reference", Precision::f64)), got = run(b, on("cuda", precision));
        EXPECT_LE(difference(got[0], expected[0]), tolerance) << name_of(variant) << ", batch " << batch;
      }
  }
};

TEST_P(CudaOp, AgreesInF32) {
  LIMPID_NEEDS_DEVICE();
  agrees(Precision::f32, relative_difference, GetParam().f32);
}
TEST_P(CudaOp, AgreesInTf32) {
  LIMPID_NEEDS_DEVICE();
  agrees(Precision::tf32, rms_difference, GetParam().bf16);
}
TEST_P(CudaOp, AgreesInBf16) {
  LIMPID_NEEDS_DEVICE();
  agrees(Precision::bf16, rms_difference, GetParam().bf16);
}
TEST_P(CudaOp, AgreesInF16) {
  LIMPID_NEEDS_DEVICE();
  agrees(Precision::f16, rms_difference, GetParam().bf16);
}
INSTANTIATE_TEST_SUITE_P(Cases, CudaOp, ::testing::ValuesIn(op_cases()), [](const auto& test) { return test.param.name; });

TEST(CudaDevice, Multiplies) {
  LIMPID_NEEDS_DEVICE();
  const cuda::Product product{.m = 3, .n = 5, .k = 7, .transposed_b = true, .tf32 = false};
  std::vector<float> a(21), b(35), c(15);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = std::sin(static_cast<float>(i));
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = std::cos(static_cast<float>(i));
  cuda::Stream stream(0);
  const cuda::DeviceMemory da(0, a.size() * 4), db(0, b.size() * 4), dc(0, c.size() * 4);
  stream.upload(da.data(), a.data(), da.bytes());
  stream.upload(db.data(), b.data(), db.bytes());
  cuda::multiply(stream, product, reinterpret_cast<const float*>(da.data()), reinterpret_cast<const float*>(db.data()), reinterpret_cast<float*>(dc.data()));
  stream.download(c.data(), dc.data(), dc.bytes());
  stream.synchronize();
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 5; ++j) {
      float sum = 0;
      for (std::size_t k = 0; k < 7; ++k) sum += a[i * 7 + k] * b[j * 7 + k];
      EXPECT_NEAR(c[i * 5 + j], sum, 1e-5f);
    }
}

}  // namespace
}  // namespace limpid::testing
