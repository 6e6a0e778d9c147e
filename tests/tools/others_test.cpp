// limpid devices and verify.
#include <tests/tools/program.h>

namespace limpid::testing {
namespace {

TEST(Devices, AllOfThem) {
  const auto list = json_answer({"devices", "--json"});
  ASSERT_FALSE(list.empty());
  EXPECT_EQ(list.back()["name"], "reference");
  const std::string text = answer({"devices"});
  EXPECT_EQ(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')), list.size() + 1);
  for (const auto& d : list) {
    EXPECT_GT(d["memory"].get<std::int64_t>(), 1 << 20);
    EXPECT_NE(d["precisions"].dump().find("f32"), std::string::npos);
  }
}

TEST(Verify, PassesHere) {
  const auto report = json_answer({"verify", "--json", "--quiet"});
  EXPECT_TRUE(report["passed"]);
  EXPECT_EQ(report["checks"].size(), 21u);
  for (const auto& check : report["checks"]) EXPECT_LE(check["error"].get<double>(), check["tolerance"].get<double>()) << check["check"];
}

TEST(Verify, RefusesAnUnknownDevice) { expect_refusal(2, "There is no device 'tpu'", {"verify", "--device", "tpu"}); }

}  // namespace
}  // namespace limpid::testing
