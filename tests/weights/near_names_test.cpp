#include <limpid/runtime/near_names.h>

#include <gtest/gtest.h>

namespace limpid {
namespace {

using Names = std::vector<std::string>;

const Names methods = {"saliency", "gradcam", "guided_gradcam", "occlusion", "integrated_gradients", "deconvolution"};

TEST(NearNames, Typos) {
  EXPECT_EQ(near_names("grad_cam", methods), (Names{"gradcam"}));
  EXPECT_EQ(near_names("oclusion", methods), (Names{"occlusion"}));
  EXPECT_EQ(near_names("salinecy", methods), (Names{"saliency"}));
  EXPECT_EQ(near_names("IntegratedGradients", methods), (Names{"integrated_gradients"}));
  EXPECT_EQ(near_names("resent18", Names{"resnet18", "resnet50"}).front(), "resnet18");  // a swap is one edit
}

TEST(NearNames, Contained) {
  EXPECT_EQ(near_names("gradcam", methods), (Names{"gradcam", "guided_gradcam"}));
  EXPECT_EQ(near_names("resnet18", Names{"efficientnet_lite0", "resnet18_imagenette"}), (Names{"resnet18_imagenette"}));
}

TEST(NearNames, AtMostThreeNearestFirst) {
  EXPECT_EQ(near_names("layer1", Names{"layer44", "layer2", "layer3", "layer1.0", "layer1", "layer4"}), (Names{"layer1", "layer2", "layer3"}));
}

TEST(NearNames, NothingNear) {
  EXPECT_TRUE(near_names("xyz", methods).empty());
  EXPECT_TRUE(near_names("", methods).empty());
  EXPECT_TRUE(near_names("gradcam", Names{}).empty());
  EXPECT_TRUE(near_names(std::string(1'000'000, 'a'), methods).empty());
}

TEST(NearNames, Sentence) {
  EXPECT_EQ(did_you_mean("grad_cam", methods), " Did you mean 'gradcam'?");
  EXPECT_EQ(did_you_mean("gradcam", methods), " Did you mean 'gradcam' or 'guided_gradcam'?");
  EXPECT_EQ(did_you_mean("ab", Names{"aa", "ac", "bb"}), " Did you mean 'aa', 'ac' or 'bb'?");
  EXPECT_EQ(did_you_mean("xyz", methods), "");
}

}  // namespace
}  // namespace limpid
