// limpid attribute: every method's numbers, shapes and report.
#include <limpid/attribution/attribution.h>
#include <tests/tools/program.h>
#include <tests/tools/small_input.h>

#include <cmath>

namespace limpid::testing {
namespace {

class AttributeProgram : public ::testing::Test {
 protected:
  /// Runs the method on a small input with these further words; the array and the report are then in `a` and `report`.
  void attribute(const std::string& method, const std::vector<std::string>& more = {}, std::int64_t samples = 1) {
    std::vector<std::string> call = {"attribute", small_npy(dir.path(), samples), "--weights", "resnet18_imagenette",    "--method", method,
                                     "--output",  (dir / "a.npy").string(),       "--report",  (dir / "a.json").string()};
    call.insert(call.end(), more.begin(), more.end());
    answer(call);
    a = read_npy(dir / "a.npy");
    report = nlohmann::json::parse(bytes_of(dir / "a.json"), nullptr, false);
    ASSERT_EQ(a.dtype(), DType::f32);
    for (const float v : a.span<float>()) ASSERT_TRUE(std::isfinite(v));
  }
  double sum() const {
    double total = 0;
    for (const float v : a.span<float>()) total += static_cast<double>(v);
    return total;
  }

  TempDir dir;
  Tensor a;
  nlohmann::json report;
};

TEST_F(AttributeProgram, EveryMethod) {
  for (const auto& method : attribution_methods()) {
    SCOPED_TRACE(method);
    attribute(method, method == "feature_ablation" ? std::vector<std::string>{"--grid", "4x4"} : std::vector<std::string>{});
    EXPECT_EQ(a.shape(), method == "gradcam" ? (Shape{1, 1, 2, 2}) : (Shape{1, 3, 64, 64}));
    EXPECT_GT(*std::max_element(a.span<float>().begin(), a.span<float>().end()), 0);
    EXPECT_EQ(report["method"], method);
  }
}

TEST_F(AttributeProgram, TheReport) {
  attribute("integrated_gradients", {"--steps", "20", "--target", "3,4"}, 2);
  EXPECT_EQ(a.shape(), (Shape{2, 3, 64, 64}));
  std::vector<std::string> keys;
  for (const auto& [key, value] : report.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"delta", "device", "method", "model", "peak_bytes", "precision", "scores", "seconds", "targets", "weights"}));
  EXPECT_EQ(report["model"], "resnet18");
  EXPECT_EQ(report["weights"], "resnet18_imagenette");
  EXPECT_EQ(report["precision"], "f32");
  EXPECT_EQ(report["targets"], (std::vector<int>{3, 4}));
  EXPECT_EQ(report["scores"].size(), 2u);
  EXPECT_EQ(report["delta"].size(), 2u);
  for (const char* part : {"load", "compile", "run"}) EXPECT_GE(report["seconds"][part].get<double>(), 0) << part;
  EXPECT_GT(report["peak_bytes"].get<std::int64_t>(), 1000);
}

TEST_F(AttributeProgram, TheDeltaIsOfIntegratedGradientsAlone) {
  attribute("saliency");
  EXPECT_EQ(report["delta"], nlohmann::json::array());
}

TEST_F(AttributeProgram, TheTargetByLabelAndIndex) {
  attribute("saliency", {"--target", "french horn"});
  EXPECT_EQ(report["targets"], (std::vector<int>{5}));
  const Tensor by_label = a.clone();
  attribute("saliency", {"--target", "5"});
  EXPECT_EQ(std::memcmp(a.raw(), by_label.raw(), a.bytes()), 0);
}

TEST_F(AttributeProgram, SignedSaliency) {
  attribute("saliency", {"--no-abs"});
  EXPECT_LT(*std::min_element(a.span<float>().begin(), a.span<float>().end()), 0);
  attribute("saliency", {"--abs"});
  EXPECT_GE(*std::min_element(a.span<float>().begin(), a.span<float>().end()), 0);
}

TEST_F(AttributeProgram, Baselines) {
  attribute("integrated_gradients", {"--steps", "5", "--baseline", "-0.5"});
  const double constant = sum();
  attribute("integrated_gradients", {"--steps", "5", "--baseline", "blur"});
  EXPECT_NE(sum(), constant);
  attribute("integrated_gradients", {"--steps", "5", "--baseline", small_npy(dir.path())});  // the input itself
  EXPECT_EQ(sum(), 0);
}

TEST_F(AttributeProgram, WithoutMultiplication) {
  attribute("integrated_gradients", {"--steps", "5", "--rule", "riemann_middle"});
  const double multiplied = sum();
  attribute("integrated_gradients", {"--steps", "5", "--rule", "riemann_middle", "--no-multiply-by-inputs"});
  EXPECT_NE(sum(), multiplied);
}

TEST_F(AttributeProgram, TheBatchChangesNothing) {
  attribute("occlusion", {"--window", "16x32", "--stride", "16x16"});
  const Tensor whole = a.clone();
  attribute("occlusion", {"--window", "16x32", "--stride", "16x16", "--batch", "3"});
  for (std::int64_t i = 0; i < a.numel(); ++i) ASSERT_NEAR(a.at(i), whole.at(i), 1e-4);
}

TEST_F(AttributeProgram, OneNumberForTheWindow) {
  attribute("occlusion", {"--window", "32"});
  const Tensor square = a.clone();
  attribute("occlusion", {"--window", "32x32", "--stride", "16x16"});  // half a window is the default
  EXPECT_EQ(std::memcmp(a.raw(), square.raw(), a.bytes()), 0);
}

TEST_F(AttributeProgram, UpsampledGradCam) {
  attribute("gradcam", {"--upsample", "bilinear"});
  EXPECT_EQ(a.shape(), (Shape{1, 1, 64, 64}));
  attribute("gradcam", {"--layer", "layer2", "--upsample", "nearest"});
  EXPECT_EQ(a.shape(), (Shape{1, 1, 64, 64}));
  attribute("gradcam", {"--layer", "layer2"});
  EXPECT_EQ(a.shape(), (Shape{1, 1, 8, 8}));
}

TEST_F(AttributeProgram, ANeuron) {
  attribute("saliency", {"--layer", "layer2", "--neuron", "7,0,0"});
  EXPECT_EQ(report["targets"], (std::vector<int>{7}));
  EXPECT_EQ(a.at(63 * 64 + 63), 0);  // out of the sight of the neuron in the first corner
  attribute("saliency", {"--layer", "fc", "--neuron", "3"});
  const Tensor neuron = a.clone();
  attribute("saliency", {"--target", "3"});
  for (std::int64_t i = 0; i < a.numel(); ++i) ASSERT_NEAR(a.at(i), neuron.at(i), 1e-6);
}

TEST_F(AttributeProgram, APicture) {
  answer({"attribute", picture("church.jpg"), "--method", "gradcam", "--output", (dir / "cam.npy").string(), "--quiet"});
  EXPECT_EQ(read_npy(dir / "cam.npy").shape(), (Shape{1, 1, 7, 7}));
}

TEST_F(AttributeProgram, DoublePrecisionOnTheReference) {
  attribute("saliency", {"--device", "reference", "--precision", "f64"});
  EXPECT_EQ(report["precision"], "f64");
  EXPECT_EQ(report["device"], "reference");
}

TEST_F(AttributeProgram, TheSummary) {
  const std::vector<std::string> call = {"attribute", small_npy(dir.path()),   "--weights", "resnet18_imagenette", "--method", "saliency",
                                         "--output",  (dir / "a.npy").string()};
  const std::string text = answer(call);
  EXPECT_NE(text.find("score "), std::string::npos) << text;
  EXPECT_NE(text.find("wrote " + (dir / "a.npy").string() + " [1, 3, 64, 64]"), std::string::npos) << text;
  std::vector<std::string> quiet = call;
  quiet.push_back("--quiet");
  EXPECT_EQ(answer(quiet), "");
}

TEST_F(AttributeProgram, NumbersOnStdoutStandAlone) {
  const std::string bytes = answer({"attribute", small_npy(dir.path()), "--weights", "resnet18_imagenette", "--method", "gradcam", "--output", "/dev/stdout"});
  EXPECT_TRUE(bytes.starts_with("\x93NUMPY"));
  EXPECT_EQ(bytes.size(), 128 + 4 * sizeof(float));
}

}  // namespace
}  // namespace limpid::testing
