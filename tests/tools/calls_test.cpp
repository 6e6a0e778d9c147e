// Help, version, and calls that are wrong: one line that helps, exit status 2.
#include <limpid/runtime/version.h>
#include <tests/tools/program.h>
#include <tests/tools/small_input.h>

namespace limpid::testing {
namespace {

TEST(Calls, HelpOfEverySubcommand) {
  for (const std::string name : {"classify", "explain", "attribute", "weights", "devices", "verify"}) {
    const std::string text = answer({name, "--help"});
    EXPECT_NE(text.find("Usage: limpid " + name), std::string::npos) << text;
    EXPECT_NE(answer({"--help"}).find("\n  " + name), std::string::npos) << name;
  }
  EXPECT_NE(answer({"weights", "inspect", "-h"}).find("Usage: limpid weights inspect"), std::string::npos);
}

TEST(Calls, Version) { EXPECT_EQ(answer({"--version"}), "limpid " + std::string(version()) + "\n"); }

TEST(Calls, Subcommands) {
  expect_refusal(2, "Name a subcommand: classify, explain", {});
  expect_refusal(2, "There is no subcommand 'clasify'. Did you mean 'classify'?", {"clasify", "x.png"});
  expect_refusal(2, "Name a subcommand: list, inspect", {"weights"});
  expect_refusal(2, "Did you mean 'inspect'?", {"weights", "inspct", "x"});
}

TEST(Calls, Options) {
  expect_refusal(2, "There is no option '--topp'. Did you mean '--top'?", {"classify", "x.png", "--topp", "3"});
  expect_refusal(2, "There is no option '--topp=3'. Did you mean '--top'?", {"classify", "x.png", "--topp=3"});
  expect_refusal(2, "There is no option '-z'.", {"classify", "-z", "x.png"});
  expect_refusal(2, "There is no option '--bogus'.", {"--bogus"});
  expect_refusal(2, "Did you mean '--method'?", {"attribute", "x.npy", "--metod", "saliency"});
  expect_refusal(2, "IMAGE is required", {"classify"});
  expect_refusal(2, "--top = abc", {"classify", "--top", "abc", "x.png"});
  expect_refusal(2, "--top", {"classify", "x.png", "--top"});
  expect_refusal(2, "--top: 0", {"classify", "x.png", "--top", "0"});
  expect_refusal(2, "--output is required", {"attribute", "x.npy", "--method", "saliency"});
  expect_refusal(2, "'y.npy' is one too many", {"attribute", "x.npy", "y.npy", "--method", "saliency", "--output", "a.npy"});
}

TEST(Calls, DevicesAndModels) {
  const std::string image = picture("church.jpg");
  expect_refusal(2, "There is no device 'gpu'; use auto", {"classify", image, "--device", "gpu"});
  expect_refusal(2, "There is no precision 'f65'", {"classify", image, "--precision", "f65"});
  expect_refusal(2, "cannot compute in bf16", {"classify", image, "--precision", "bf16", "--device", "reference"});
  expect_refusal(2, "--max-memory: '12XB' is not a size", {"classify", image, "--max-memory", "12XB"});
  expect_refusal(2, "--max-memory: '0' is not a size", {"classify", image, "--max-memory", "0"});
  expect_refusal(2, "--threads: -1 is not possible", {"classify", image, "--threads", "-1"});
  expect_refusal(2, "--seed belongs to --weights random", {"classify", image, "--seed", "3"});
  expect_refusal(2, "Did you mean 'resnet18_imagenette'?", {"classify", image, "--weights", "resnet18_imagenete"});
  expect_refusal(2, "'random:x' is not random[:SEED]", {"classify", image, "--weights", "random:x"});
  expect_refusal(2, "There is no architecture 'resnet19'. Did you mean 'resnet18'", {"classify", image, "--model", "resnet19"});
  expect_refusal(2, "--model resnet18 needs weights", {"classify", image, "--model", "resnet18"});
}

class Attribute : public ::testing::Test {
 protected:
  void refuse(const std::string& words, const std::vector<std::string>& more) {
    std::vector<std::string> call = {"attribute", small_npy(dir.path()), "--weights", "resnet18_imagenette", "--output", (dir / "a.npy").string()};
    call.insert(call.end(), more.begin(), more.end());
    expect_refusal(2, words, call);
    EXPECT_EQ(files_in(dir.path()), 1u) << "only the input is there";
  }
  TempDir dir;
};

TEST_F(Attribute, Names) {
  refuse("There is no method 'salience'. Did you mean 'saliency'?", {"--method", "salience"});
  refuse("The methods: saliency, ", {"--method", "x"});
  refuse("Did you mean 'gausslegendre'?", {"--method", "integrated_gradients", "--rule", "gauslegendre"});
  refuse("There is no layer 'layr4'. Did you mean 'layer4'", {"--method", "gradcam", "--layer", "layr4"});
  refuse("Grad-CAM needs a layer with spatial extent", {"--method", "gradcam", "--layer", "fc"});
  refuse("Did you mean 'church'?", {"--method", "saliency", "--target", "chruch"});
  refuse("neither nearest nor bilinear", {"--method", "gradcam", "--upsample", "cubic"});
}

TEST_F(Attribute, Targets) {
  refuse("The target 10 is out of range; this model has the classes 0 to 9.", {"--method", "saliency", "--target", "10"});
  refuse("The target -1 is out of range", {"--method", "saliency", "--target", "-1"});
  refuse("2 targets for 1 samples", {"--method", "saliency", "--target", "1,2"});
  refuse("--target: '1,,2' has an empty part", {"--method", "saliency", "--target", "1,,2"});
}

TEST_F(Attribute, Windows) {
  refuse("The window covers 65 rows; between 1 and the input's 64 are possible.", {"--method", "occlusion", "--window", "65x15"});
  refuse("The window covers 0 rows", {"--method", "occlusion", "--window", "0"});
  refuse("The stride of 16 columns", {"--method", "occlusion", "--window", "15", "--stride", "8x16"});
  refuse("The stride of 0 rows", {"--method", "occlusion", "--stride", "0"});
  refuse("--window: '10y' is not ROWSxCOLUMNS", {"--method", "occlusion", "--window", "10y"});
  refuse("--grid: '0x4' has no cells", {"--method", "feature_ablation", "--grid", "0x4"});
  refuse("does not fit 64x64 pixels", {"--method", "feature_ablation", "--grid", "65x1"});
}

TEST_F(Attribute, Numbers) {
  refuse("The number of steps is 0", {"--method", "integrated_gradients", "--steps", "0"});
  refuse("--steps = 1.5", {"--method", "integrated_gradients", "--steps", "1.5"});
  refuse("--baseline: 'blurr' is neither a number, nor blur, nor a .npy file", {"--method", "integrated_gradients", "--baseline", "blurr"});
  refuse("--baseline: 'nan'", {"--method", "integrated_gradients", "--baseline", "nan"});
  refuse("--batch: -1", {"--method", "occlusion", "--batch", "-1"});
}

TEST_F(Attribute, OptionsOfOtherMethods) {
  refuse("--steps does not apply to gradcam; it belongs to integrated_gradients.", {"--method", "gradcam", "--steps", "3"});
  refuse("--window does not apply to saliency", {"--method", "saliency", "--window", "3"});
  refuse("--no-abs does not apply to occlusion", {"--method", "occlusion", "--no-abs"});
  refuse("--neuron does not apply to gradcam", {"--method", "gradcam", "--layer", "layer4", "--neuron", "1,2,3"});
  refuse("--layer needs --neuron", {"--method", "saliency", "--layer", "layer4"});
  refuse("--neuron needs --layer", {"--method", "saliency", "--neuron", "1,2,3"});
  refuse("exclude each other", {"--method", "saliency", "--layer", "layer4", "--neuron", "1,0,0", "--target", "3"});
  refuse("lies outside the layer 'layer4' of shape [512, 2, 2]", {"--method", "saliency", "--layer", "layer4", "--neuron", "1,2,0"});
  refuse("--neuron: '1,2' is not CHANNEL,ROW,COLUMN", {"--method", "saliency", "--layer", "layer4", "--neuron", "1,2"});
}

TEST_F(Attribute, OutputsThatCollide) {
  const std::string input = small_npy(dir.path()), out = (dir / "b.npy").string();
  expect_refusal(2, "would overwrite the input", {"attribute", input, "--method", "saliency", "--output", input});
  expect_refusal(2, "--report would overwrite", {"attribute", input, "--method", "saliency", "--output", out, "--report", out});
  EXPECT_EQ(files_in(dir.path()), 1u);
}

}  // namespace
}  // namespace limpid::testing
