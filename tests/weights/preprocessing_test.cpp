#include <limpid/weights/preprocessing.h>

#include <gtest/gtest.h>
#include <tests/weights/expect_error.h>

namespace limpid::testing {
namespace {

TEST(Preprocessing, AllFields) {
  const auto p =
      preprocessing_from_json(R"({"resize": 240, "crop": 200, "interpolation": "bicubic", "antialias": false, "mean": [0.5, 0, 1], "std": [0.25, 1, 2]})", "f");
  EXPECT_EQ(p, (Preprocessing{240, 200, "bicubic", false, {0.5f, 0, 1}, {0.25f, 1, 2}}));
}

TEST(Preprocessing, DefaultsAreImageNets) {
  EXPECT_EQ(preprocessing_from_json("{}", "f"), Preprocessing());
  EXPECT_EQ(Preprocessing().mean, (std::array<float, 3>{0.485f, 0.456f, 0.406f}));
  EXPECT_EQ(Preprocessing().std, (std::array<float, 3>{0.229f, 0.224f, 0.225f}));
}

TEST(PreprocessingAttack, EachIsRefusedBySentence) {
  const auto refused = [](const std::string& text, const std::string& words) {
    SCOPED_TRACE(text.substr(0, 100));
    expect_error(ErrorCode::bad_file, words, [&] { preprocessing_from_json(text, "the.file"); });
    expect_error(ErrorCode::bad_file, "the.file: the preprocessing", [&] { preprocessing_from_json(text, "the.file"); });
  };
  for (const char* text : {"", "nonsense", "[]", "3", "{", "{} {}", "null"}) refused(text, "is not a JSON object");
  refused(std::string(1'000'000, '['), "nests too deep");
  refused(R"({"crop": {"a": {"b": {}}}})", "nests too deep");
  refused(R"({"crop": 1, "crop": 2})", "'crop' twice");
  refused(R"({"scale": 1})", "unknown key 'scale'");
  for (const char* side : {"0", "-5", "224.5", "\"224\"", "null", "8193", "18446744073709551615", "1e3", "[224]"}) {
    refused(std::string(R"({"resize": )") + side + "}", "1 to 8192 as 'resize'");
    refused(std::string(R"({"crop": )") + side + "}", "1 to 8192 as 'crop'");
  }
  refused(R"({"resize": 100, "crop": 101})", "crops 101 pixels");
  refused(R"({"resize": 200})", "crops 224 pixels");
  refused(R"({"antialias": 1})", "true or false");
  refused(R"({"interpolation": "lanczos"})", "'bicubic' or 'nearest'");
  refused(R"({"interpolation": 2})", "'bicubic' or 'nearest'");
  for (const char* list :
       {"0.5", "{}", "[]", "[0.5, 0.5]", "[0.5, 0.5, 0.5, 0.5]", "[0.5, 0.5, \"0.5\"]", "[0.5, 0.5, null]", "[123.7, 116.8, 103.9]", "[-0.1, 0, 0]"})
    refused(std::string(R"({"mean": )") + list + "}", "three numbers from 0 to 1 as 'mean'");
  for (const char* list : {"[0, 1, 1]", "[1, 1, -1]", "[1, 1, 1e-30]", "[1, 1, 1e300]", "[1, 1]"}) refused(std::string(R"({"std": )") + list + "}", "as 'std'");
  refused(R"({"std": [1, 1, 1e999]})", "is not a JSON object");
}

}  // namespace
}  // namespace limpid::testing
