// limpid weights, devices and verify.
#include <limpid/weights/models.h>
#include <limpid/weights/safetensors.h>
#include <tests/tools/program.h>

namespace limpid::testing {
namespace {

TEST(Weights, List) {
  const std::string text = answer({"weights", "list"});
  const auto list = json_answer({"weights", "list", "--json"});
  ASSERT_EQ(list.size(), bundled_models().size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    EXPECT_EQ(list[i]["name"], bundled_models()[i].name);
    EXPECT_NE(text.find(bundled_models()[i].name), std::string::npos);
  }
}

TEST(Weights, Inspect) {
  const std::string text = answer({"weights", "inspect", "resnet18_imagenette"});
  EXPECT_NE(text.find("architecture            resnet18\n"), std::string::npos) << text;
  EXPECT_NE(text.find("layer4.1.conv2.weight"), std::string::npos);
  const auto file = json_answer({"weights", "inspect", "--json", (source_dir() / "models" / "resnet18_imagenette.f16.safetensors").string()});
  EXPECT_EQ(file["architecture"], "resnet18");
  EXPECT_EQ(file["classes"], 10);
  EXPECT_EQ(file["tensors"].size(), file["totals"]["f16"]["tensors"]);
  EXPECT_EQ(file["tensors"][0], (nlohmann::json{{"name", "bn1.bias"}, {"dtype", "f16"}, {"shape", {64}}}));
}

TEST(Weights, InspectAnyTensors) {
  TempDir dir;
  write_safetensors(dir / "other.safetensors", {{"w\x1b[2J", Tensor(Shape{2, 2})}}, {{"note", "\x1b]0;title\x07"}});
  const std::string text = answer({"weights", "inspect", (dir / "other.safetensors").string()});
  EXPECT_NE(text.find("unknown"), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << "a file does not get to steer the terminal";
}

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
