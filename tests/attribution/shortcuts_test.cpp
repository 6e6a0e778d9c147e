// Every pass on against off for every method: the same answer, in f64 on the reference and in f32 on the CPU, for several targets in one run.
#include <limpid/attribution/attribution.h>

#include <gtest/gtest.h>

#include <algorithm>

#include "../support/graphs.h"

namespace limpid::testing {
namespace {

struct Switch { const char* name; bool PassOptions::*on; };
constexpr Switch switches[] = {{"fold_batch_norm", &PassOptions::fold_batch_norm}, {"closed_form", &PassOptions::closed_form},
                               {"hoist_linear", &PassOptions::hoist_linear},       {"fuse_convolution", &PassOptions::fuse_convolution},
                               {"fuse_relu_backward", &PassOptions::fuse_relu_backward}, {"keep_masks", &PassOptions::keep_masks},
                               {"sum_before_linear", &PassOptions::sum_before_linear}, {"crop_windows", &PassOptions::crop_windows},
                               {"plan_memory", &PassOptions::plan_memory}};
static_assert(std::size(switches) == sizeof(PassOptions), "a pass lacks its line in this table");
constexpr int every = static_cast<int>(std::size(switches));  // in the place of a switch: all of them

struct Method {
  const char *name, *method;
  std::vector<Attribution> (*run)(const Explainer&, const Tensor&, const Targets&);
};

/// Features that lie scattered: 0 to 3 by turns.
Tensor scattered_mask() {
  Tensor mask(Shape{1, 1, 33, 29}, DType::i64);
  for (std::int64_t i = 0; i < mask.numel(); ++i) mask.data<std::int64_t>()[i] = i * i % 7 % 4;
  return mask;
}

const Method methods[] = {
    {"saliency", "saliency", [](const Explainer& e, const Tensor& x, const Targets& t) { return saliency(e, x, t); }},
    {"input_x_gradient", "input_x_gradient", [](const Explainer& e, const Tensor& x, const Targets& t) { return input_x_gradient(e, x, t); }},
    {"integrated_gradients", "integrated_gradients", [](const Explainer& e, const Tensor& x, const Targets& t) {
       IntegratedGradientsOptions o;
       o.n_steps = 7;
       o.baselines = Baseline(0.25);
       o.return_convergence_delta = true;
       return integrated_gradients(e, x, t, o);
     }},
    {"guided_backprop", "guided_backprop", [](const Explainer& e, const Tensor& x, const Targets& t) { return guided_backprop(e, x, t); }},
    {"deconvolution", "deconvolution", [](const Explainer& e, const Tensor& x, const Targets& t) { return deconvolution(e, x, t); }},
    {"gradcam", "gradcam", [](const Explainer& e, const Tensor& x, const Targets& t) { return gradcam(e, x, t); }},
    {"gradcam_of_an_earlier_layer", "gradcam", [](const Explainer& e, const Tensor& x, const Targets& t) { return gradcam(e, x, t, {{}, "early"}); }},
    {"guided_gradcam", "guided_gradcam", [](const Explainer& e, const Tensor& x, const Targets& t) { return guided_gradcam(e, x, t); }},
    {"occlusion", "occlusion", [](const Explainer& e, const Tensor& x, const Targets& t) { return occlusion(e, x, t, {{}, {3, 5, 4}, {3, 4, 3}, {}}); }},
    {"feature_ablation", "feature_ablation", [](const Explainer& e, const Tensor& x, const Targets& t) { return feature_ablation(e, x, t, {{}, {}, grid_feature_mask(33, 29, 5, 4)}); }},
    {"feature_ablation_scattered", "feature_ablation", [](const Explainer& e, const Tensor& x, const Targets& t) { return feature_ablation(e, x, t, {{}, {}, scattered_mask()}); }},
};

std::shared_ptr<const Model> small_model() {
  static const auto model = [] {
    ModelDefinition d;
    d.name = "small";
    d.build = [](Value x) {
      const Value stem = relu(conv2d(x, x.graph->constant(random_tensor({6, 3, 3, 3}, 71, -0.5, 0.5)), {}, {{1, 1}, {1, 1}, {1, 1}}));
      x.graph->name(stem, "early");
      return small_residual_network(stem);
    };
    d.labels = {"a", "b", "c"};
    d.default_layer = "last";
    return Model::define(std::move(d));
  }();
  return model;
}

std::vector<Attribution> answer(const Method& method, const PassOptions& passes, const std::string& device) {
  CompileOptions o = on(device, device == "reference" ? Precision::f64 : Precision::f32);
  o.passes = passes;
  const Explainer explainer(small_model(), o);
  const Tensor x = random_tensor({2, 3, 33, 29}, 5, -1, 1, DType::f32);
  Target neuron;
  neuron.layer = "early";
  neuron.neuron = {3, 15, 11};
  std::vector<Target> targets{Target(std::vector<std::int64_t>{2, 0}), Target(1)};
  if (std::string_view(method.method) == "saliency" || std::string_view(method.method) == "occlusion") targets.push_back(neuron);
  return method.run(explainer, x, Targets(targets));
}

double largest(const Tensor& t) {
  double most = 0;
  for (std::int64_t i = 0; i < t.numel(); ++i) most = std::max(most, std::abs(t.at(i)));
  return most;
}

class Shortcuts : public ::testing::TestWithParam<std::tuple<int, int, const char*>> {};

TEST_P(Shortcuts, LeaveTheAnswer) {
  const auto [which, off, device] = GetParam();
  const Method& method = methods[which];
  PassOptions without;
  for (int i = 0; i < every; ++i)
    if (i == off || off == every) without.*switches[i].on = false;
  const auto fast = answer(method, {}, device), plain = answer(method, without, device);
  const double tolerance = std::string_view(device) == "reference" ? 1e-12 : 1e-4;
  ASSERT_EQ(fast.size(), plain.size());
  for (std::size_t i = 0; i < fast.size(); ++i) {
    const double size = largest(plain[i].attributions);
    EXPECT_GT(size, 1e-4) << "target " << i;
    EXPECT_LE(max_difference(fast[i].attributions, plain[i].attributions), tolerance * size) << "target " << i;
    for (std::size_t n = 0; n < 2; ++n) EXPECT_NEAR(fast[i].scores[n], plain[i].scores[n], tolerance) << "target " << i;
    ASSERT_EQ(fast[i].convergence_delta.size(), plain[i].convergence_delta.size());
    for (std::size_t n = 0; n < plain[i].convergence_delta.size(); ++n) EXPECT_NEAR(fast[i].convergence_delta[n], plain[i].convergence_delta[n], 10 * tolerance) << "target " << i;
  }
}

std::string name_of_case(const ::testing::TestParamInfo<Shortcuts::ParamType>& info) {
  const auto [which, off, device] = info.param;
  return std::string(methods[which].name) + "_without_" + (off == every ? "any" : switches[off].name) + "_" + device;
}
INSTANTIATE_TEST_SUITE_P(All, Shortcuts, ::testing::Combine(::testing::Range(0, static_cast<int>(std::size(methods))), ::testing::Range(0, every + 1), ::testing::Values("reference", "cpu")), name_of_case);

TEST(ShortcutCases, AreTestedForEveryMethod) {
  for (const std::string& name : attribution_methods())
    EXPECT_TRUE(std::any_of(std::begin(methods), std::end(methods), [&](const Method& m) { return m.method == name; })) << name;
}

// What Grad-CAM appends for a ResNet's last block: no op of a pass back but the row of the classifier's weights.
TEST(ClosedForm, GradCamOfAResNetsLastBlockHasNoPassBack) {
  const auto model = Model::load("random", "resnet18");
  Graph g;
  const Value x = g.input("input", {3, 64, 64}), target = g.input("target", Shape{}, Rows::batch, Kind::index);
  const auto network = model->network(x.shape()).trace(x);
  const Value layer = network.at("layer4"), score = select(network.output, target);
  std::vector<int> outputs{channel_weighted_sum(global_avg_pool(gradient(score, layer)), layer).id, score.id};
  const auto backward = [](const Graph& graph) {
    std::vector<std::string> names;
    for (const Node& n : graph.nodes())
      if (n.op->name.find("_backward") != std::string_view::npos) names.emplace_back(n.op->name);
    return names;
  };
  EXPECT_EQ(backward(g), (std::vector<std::string>{"select_backward", "linear_backward", "global_avg_pool_backward"}));
  const auto graph = passes::run_all(g, outputs, {}, DType::f32);
  EXPECT_EQ(backward(*graph), (std::vector<std::string>{"linear_row_backward"}));
}

}  // namespace
}  // namespace limpid::testing
