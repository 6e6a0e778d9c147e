// limpid classify: labels and probabilities, as text and as JSON.
#include <tests/tools/program.h>

namespace limpid::testing {
namespace {

TEST(Classify, ALineEach) {
  const std::string text = answer({"classify", picture("french_horn.png")});
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);
  EXPECT_TRUE(text.starts_with("French horn  0.8")) << text;
}

TEST(Classify, TheBundledPictures) {
  const auto list = json_answer({"classify", "--json", "--top", "3", picture("tabby.jpg"), picture("beagle.jpg"), picture("church.jpg")});
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0]["predictions"][0]["label"], "tabby");
  EXPECT_EQ(list[1]["predictions"][0]["label"], "Walker hound");
  EXPECT_EQ(list[1]["predictions"][1]["label"], "beagle");
  EXPECT_EQ(list[2]["predictions"][0]["label"], "palace");
  for (const auto& entry : list) {
    EXPECT_EQ(entry.size(), 4u);
    EXPECT_EQ(entry["model"], "efficientnet_lite0");
    EXPECT_EQ(entry["weights"], "efficientnet_lite0");
    ASSERT_EQ(entry["predictions"].size(), 3u);
    EXPECT_GE(entry["predictions"][0]["probability"], entry["predictions"][1]["probability"]);
  }
  EXPECT_EQ(list[0]["image"], picture("tabby.jpg"));
}

TEST(Classify, SeveralPicturesHaveHeadings) {
  const std::string text = answer({"classify", "--top", "1", "--weights", "resnet18_imagenette", picture("church.jpg"), picture("french_horn.png")});
  EXPECT_TRUE(text.starts_with(picture("church.jpg") + ":\nchurch  0.")) << text;
  EXPECT_NE(text.find("\n\n" + picture("french_horn.png") + ":\nFrench horn  0.79"), std::string::npos) << text;
}

TEST(Classify, MoreThanThereAre) {
  const auto list = json_answer({"classify", "--json", "--top", "50", "--weights", "resnet18_imagenette", picture("church.jpg")});
  ASSERT_EQ(list[0]["predictions"].size(), 10u);
  double total = 0;
  for (const auto& p : list[0]["predictions"]) total += p["probability"].get<double>();
  EXPECT_NEAR(total, 1, 1e-6);
}

TEST(Classify, RandomWeights) {
  const std::vector<std::string> call = {"classify", "--json", "--model", "resnet18", "--weights", "random:1", picture("church.jpg")};
  const std::string once = answer(call);
  EXPECT_EQ(once, answer(call));
  EXPECT_EQ(nlohmann::json::parse(once)[0]["weights"], "random:1");
  EXPECT_EQ(once, answer({"classify", "--json", "--model", "resnet18", "--weights", "random", "--seed", "1", picture("church.jpg")}));
  EXPECT_NE(once, answer({"classify", "--json", "--model", "resnet18", "--weights", "random:2", picture("church.jpg")}));
}

TEST(Classify, ThreadsDoNotChangeTheAnswer) {
  const std::string one = answer({"classify", "--json", "--threads", "1", picture("church.jpg")});
  const auto all = json_answer({"classify", "--json", picture("church.jpg")});
  EXPECT_NEAR(nlohmann::json::parse(one)[0]["predictions"][0]["probability"].get<double>(), all[0]["predictions"][0]["probability"].get<double>(), 1e-4);
}

}  // namespace
}  // namespace limpid::testing
