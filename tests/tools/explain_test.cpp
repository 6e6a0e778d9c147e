// limpid explain: a panel per picture, and a summary.
#include <limpid/nn/image.h>
#include <tests/tools/program.h>

namespace limpid::testing {
namespace {

const std::vector<std::string> quick = {"--weights", "resnet18_imagenette", "--methods", "integrated_gradients,gradcam", "--steps", "4"};

std::vector<std::string> explain(std::vector<std::string> words) {
  words.insert(words.begin(), "explain");
  words.insert(words.end(), quick.begin(), quick.end());
  return words;
}

TEST(Explain, APanelInTheCurrentFolder) {
  TempDir dir;
  const std::string text = answer(explain({picture("french_horn.png")}), {.folder = dir.path()});
  const Image panel = read_image(dir / "french_horn.limpid.png");
  EXPECT_EQ(files_in(dir.path()), 1u);
  EXPECT_GT(panel.width, 3 * 336);  // the picture and two views
  EXPECT_LT(panel.width, 4 * 336);
  EXPECT_GT(panel.height, 336);
  for (const char* words : {"French horn 79", "target       5 (French horn)", "convergence delta", "gradcam", "wrote french_horn.limpid.png"})
    EXPECT_NE(text.find(words), std::string::npos) << words << " is not in\n" << text;
}

TEST(Explain, SeveralPicturesIntoAFolder) {
  TempDir dir;
  const auto list = json_answer(explain({"--json", picture("church.jpg"), picture("beagle.jpg"), "--target", "tench", "--output", dir.path().string()}));
  ASSERT_EQ(list.size(), 2u);
  for (const auto& entry : list) {
    EXPECT_EQ(entry["target"]["label"], "tench");
    EXPECT_EQ(entry["target"]["index"], 0);
    EXPECT_EQ(entry["methods"][0]["method"], "integrated_gradients");
    EXPECT_EQ(entry["methods"][0]["delta"].size(), 1u);
    EXPECT_EQ(entry["methods"][1]["delta"].size(), 0u);
    EXPECT_GT(entry["methods"][1]["peak_bytes"].get<std::int64_t>(), 1000);
    EXPECT_TRUE(std::filesystem::exists(entry["output"].get<std::string>()));
  }
  EXPECT_EQ(files_in(dir.path()), 2u);
}

TEST(Explain, SeveralTargetsARowEach) {
  TempDir dir;
  const auto list = json_answer(explain({"--json", picture("french_horn.png"), "--target", "tench,French horn", "--output", (dir / "both.png").string()}));
  const auto& entry = list.at(0);
  ASSERT_EQ(entry["targets"].size(), 2u);
  EXPECT_EQ(entry["target"]["label"], "tench");
  EXPECT_EQ(entry["targets"][1]["target"]["label"], "French horn");
  EXPECT_NE(entry["targets"][0]["methods"][0]["delta"], entry["targets"][1]["methods"][0]["delta"]);
  const Image panel = read_image(dir / "both.png");
  EXPECT_LT(panel.width, 4 * 336);
  EXPECT_GT(panel.height, 2 * 336);
  const std::string text = answer(explain({picture("french_horn.png"), "--target", "tench,French horn", "--output", (dir / "both.png").string()}));
  for (const char* words : {"target       0 (tench)", "target       5 (French horn)"}) EXPECT_NE(text.find(words), std::string::npos) << words << " is not in\n" << text;
  expect_refusal(2, "twice", explain({picture("french_horn.png"), "--target", "tench,0", "--output", (dir / "x.png").string()}));
}

TEST(Explain, TheSamePanelTwice) {
  TempDir dir;
  for (const char* name : {"a.png", "b.png"}) answer(explain({picture("church.jpg"), "--output", (dir / name).string(), "--quiet"}));
  EXPECT_EQ(bytes_of(dir / "a.png"), bytes_of(dir / "b.png"));
}

TEST(Explain, RefusesToOverwrite) {
  TempDir dir;
  std::filesystem::copy_file(picture("church.jpg"), dir / "x.jpg");
  std::filesystem::copy_file(picture("french_horn.png"), dir / "x.png");
  const Manner there{.folder = dir.path()};
  expect_refusal(2, "would both be explained in x.limpid.png", explain({"x.jpg", "x.png"}), there);
  expect_refusal(2, "would overwrite the picture x.png", explain({"x.png", "--output", "x.png"}), there);
  expect_refusal(2, "is one file for 2 pictures", explain({"x.jpg", "x.png", "--output", "both.png"}), there);
  expect_refusal(1, "is neither a folder nor a .png file", explain({"x.jpg", "--output", "missing"}), there);
  expect_refusal(1, "Create the folder first", explain({"x.jpg", "--output", "missing/x.png"}), there);
  EXPECT_EQ(files_in(dir.path()), 2u);
}

TEST(Explain, RefusesWhatCannotBe) {
  const std::string image = picture("church.jpg");
  TempDir dir;
  const Manner there{.folder = dir.path()};
  expect_refusal(2, "Did you mean 'gradcam'", {"explain", image, "--methods", "gradcan"}, there);
  expect_refusal(2, "has an empty part", {"explain", image, "--methods", "gradcam,"}, there);
  expect_refusal(2, "--steps does not apply to gradcam", {"explain", image, "--methods", "gradcam", "--steps", "4"}, there);
  expect_refusal(2, "Did you mean 'tench'", explain({image, "--target", "tensh"}), there);
  expect_refusal(2, "out of range", explain({image, "--target", "10"}), there);
  expect_refusal(2, "use dark or captum", explain({image, "--colors", "loud"}), there);
  expect_refusal(2, "unknown; use one of all", explain({image, "--sign", "both"}), there);
  expect_refusal(2, "--outlier-percent", explain({image, "--outlier-percent", "100"}), there);
  expect_refusal(2, "There is no layer 'layer9'", explain({image, "--layer", "layer9"}), there);
  EXPECT_EQ(files_in(dir.path()), 0u);
}

}  // namespace
}  // namespace limpid::testing
