// cuDNN has plans for every convolution of the networks that limpid knows, forward and backward, in each precision, on Turing, Ampere and
// Hopper. They are made from descriptions of devices: no device and no driver is needed.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <limpid/cuda/convolution.h>
#include <limpid/cuda/driver/cudnn_plans.h>
#include <limpid/cuda/kernels/depthwise.h>
#include <limpid/nn/model.h>
#include <limpid/runtime/autodiff.h>
#include <limpid/runtime/error.h>
#include <limpid/runtime/ops.h>
#include <limpid/runtime/passes/passes.h>

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

namespace limpid::cuda {
namespace {

struct Device {
  std::string name;
  int version;  // 10 * sm
  int multiprocessors, shared_optin, shared, threads_a_multiprocessor, blocks_a_multiprocessor;
  std::int64_t memory, l2;
};
const Device t4{"Tesla T4", 750, 40, 65536, 49152, 1024, 16, 15'000'000'000, 4 << 20};
const Device a100{"NVIDIA A100-SXM4-40GB", 800, 108, 166912, 49152, 2048, 32, 40'000'000'000, 40 << 20};
const Device h200{"NVIDIA H200", 900, 132, 232448, 49152, 2048, 32, 150'000'000'000, 60 << 20};

std::string description(const Device& d) {
  return nlohmann::json{{"cudaDeviceId", 0},
                        {"deviceVer", d.version},
                        {"driverVer", CUDART_VERSION},
                        {"deviceName", d.name},
                        {"maxGridSize", {2147483647, 65535, 65535}},
                        {"maxBlockSize", {1024, 1024, 64}},
                        {"regsPerBlock", 65536},
                        {"multiProcessorCount", d.multiprocessors},
                        {"warpSize", 32},
                        {"maxSharedMemoryPerBlock", d.shared},
                        {"maxSharedMemoryPerBlockOptin", d.shared_optin},
                        {"reservedSharedMemoryPerBlock", d.version >= 800 ? 1024 : 0},
                        {"maxRegistersPerSM", 65536},
                        {"maxCtasPerSM", d.blocks_a_multiprocessor},
                        {"maxThreadsPerBlock", 1024},
                        {"maxThreadsPerSM", d.threads_a_multiprocessor},
                        {"pciDeviceId", 0},
                        {"isTccDriver", 0},
                        {"supportCoopLaunch", 1},
                        {"totalGlobalMem", d.memory},
                        {"smClockRateKHz", 1500000},
                        {"memClockRateKHz", 2000000},
                        {"l2CacheSize", d.l2}}
      .dump();
}

std::int64_t padded(std::int64_t n) { return (n + 7) / 8 * 8; }

/// The patterns of a network's score and its gradient by the picture, 16 rows at once, as the lowering makes them: whatever can be fused is.
std::vector<ConvolutionPattern> patterns_of(const std::string& architecture) {
  const auto model = Model::load("random", architecture);
  Graph traced;
  const Value x = traced.input("x", {3, 224, 224}), target = traced.input("target", Shape{}, Rows::batch, Kind::index);
  const Value score = select(model->network({3, 224, 224})(x), target);
  std::vector<int> outputs{score.id, gradient(score, x).id};
  const auto graph = passes::run_all(traced, outputs, {}, DType::f32);
  std::map<std::string, ConvolutionPattern> unique;
  for (const Node& n : graph->nodes()) {
    const bool backward = n.op == &ops::conv2d_backward_data;
    if (!backward && n.op != &ops::conv2d) continue;
    const auto& a = n.as<Conv2dAttributes>();
    const Shape &in = graph->value(backward ? n.outputs[0] : n.inputs[0]).shape, &out = graph->value(backward ? n.inputs[0] : n.outputs[0]).shape;
    ConvolutionPattern p;
    p.backward = backward;
    p.images = 16;
    p.channels = padded(in[0]);
    p.rows = in[1];
    p.columns = in[2];
    p.outputs = padded(out[0]);
    p.out_rows = out[1];
    p.out_columns = out[2];
    p.vertical = a.rows;
    p.horizontal = a.columns;
    p.groups = a.groups == in[0] ? p.channels : a.groups;
    if (backward) {
      p.mask = p.addend = true;
      unique.emplace(to_string(p), p);
      p.addend = false;
    } else {
      p.bias = n.has_input(2);
      p.addend = n.has_input(3);
      p.activation = a.activation;
      p.mask = a.activation != Activation::none;
    }
    unique.emplace(to_string(p), p);
  }
  std::vector<ConvolutionPattern> all;
  for (auto& [text, p] : unique) all.push_back(p);
  return all;
}

void set_precision(ConvolutionPattern& p, std::string_view precision) {
  p.type = precision == "bf16" ? DType::bf16 : precision == "f16" ? DType::f16 : DType::f32;
  p.tf32 = precision == "tf32";
}

class Plans : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    // cuDNN compiles plans through the driver's library; the toolkit's stub of it carries the soname and does as long as none is to be run.
    if (!dlopen("libcuda.so.1", RTLD_NOW)) dlopen(LIMPID_CUDA_STUB, RTLD_NOW);
  }

  /// Every pattern of a network has a way; prints how many patterns each part of the fusion serves without compiling at run time.
  static void check(const std::string& architecture, const Device& device, std::initializer_list<std::string_view> precisions) {
    const Descriptor described = described_device(description(device));
    const PlanTarget target{nullptr, described.get(), {}};
    const auto patterns = patterns_of(architecture);
    ASSERT_GE(patterns.size(), 10u);
    for (const std::string_view precision : precisions) {
      std::map<std::string, std::pair<int, int>> served;  // direction and part: of how many, how many have a precompiled plan
      for (ConvolutionPattern p : patterns) {
        set_precision(p, precision);
        bool found = false;
        for (const ConvolutionPart& part : convolution_parts(p)) {
          // Whole fusions and those behind a gradient are compiled at run time; AFusionIsCompiled has examples, all of them take too long.
          if (part.planned.mask || (p.backward && part.planned.addend)) continue;
          const bool plan = !cudnn_plans(target, part.planned, {.deterministic = true, .most = 1, .most_compiled = 0}).empty();
          auto& [of, have] = served[std::string(p.backward ? "backward " : "forward ") + std::string(part.name) + (p.depthwise() ? ", depthwise" : "")];
          ++of;
          have += plan;
          found |= plan;
        }
        if (!found) found = !cudnn_plans(target, p, {.deterministic = true, .most = 1, .most_compiled = 1}).empty();
        EXPECT_TRUE(found) << "cuDNN has no plan on " << device.name << " for " << to_string(p);
        EXPECT_EQ(p.depthwise(), kernels::takes_depthwise(p)) << to_string(p);
      }
      for (const auto& [what, counts] : served)
        std::cout << architecture << ", sm_" << device.version / 10 << ", " << precision << ", " << what << ": " << counts.second << " of " << counts.first << " precompiled\n";
    }
  }

  /// The fusions that cuDNN only has as plans that it compiles: made up to the loading of the code, for which there is no driver.
  static void check_fusions(const Device& device, std::string_view precision) {
    const Descriptor described = described_device(description(device));
    const PlanTarget target{nullptr, described.get(), {}};
    for (const bool backward : {false, true}) {
      ConvolutionPattern p;
      p.images = 16;
      p.channels = p.outputs = 64;
      p.rows = p.columns = p.out_rows = p.out_columns = 56;
      p.vertical = p.horizontal = {3, 1, 1, 1};
      set_precision(p, precision);
      p.backward = backward;
      p.bias = !backward;
      p.activation = backward ? Activation::none : Activation::relu;
      p.addend = p.mask = true;
      const auto plans = cudnn_plans(target, p, {.deterministic = true, .most = 1, .most_compiled = 1});
      std::cout << "sm_" << device.version / 10 << ", " << to_string(p) << ": " << (plans.empty() ? "none" : plans[0].name) << '\n';
      EXPECT_FALSE(plans.empty()) << to_string(p);
    }
  }
};

TEST_F(Plans, ResNet18) {
  check("resnet18", t4, {"f16", "f32"});
  check("resnet18", a100, {"f32", "tf32", "bf16", "f16"});
  check("resnet18", h200, {"f32", "tf32", "bf16", "f16"});
}
TEST_F(Plans, ResNet50) {
  check("resnet50", t4, {"f16", "f32"});
  check("resnet50", a100, {"f32", "tf32", "bf16", "f16"});
  check("resnet50", h200, {"f32", "tf32", "bf16", "f16"});
}
TEST_F(Plans, EfficientNetLite0) {
  check("efficientnet_lite0", t4, {"f16", "f32"});
  check("efficientnet_lite0", a100, {"f32", "tf32", "bf16", "f16"});
  check("efficientnet_lite0", h200, {"f32", "tf32", "bf16", "f16"});
}
TEST_F(Plans, AFusionIsCompiledForTuring) { check_fusions(t4, "f16"); }
TEST_F(Plans, AFusionIsCompiledForAmpere) { check_fusions(a100, "bf16"); }
TEST_F(Plans, AFusionIsCompiledForHopper) { check_fusions(h200, "bf16"); }

TEST_F(Plans, ComeBackByName) {
  const Descriptor described = described_device(description(h200));
  const PlanTarget target{nullptr, described.get(), {}};
  ConvolutionPattern p;
  p.images = 16;
  p.channels = p.outputs = 64;
  p.rows = p.columns = p.out_rows = p.out_columns = 28;
  p.type = DType::bf16;
  p.bias = p.addend = true;
  p.activation = Activation::relu;
  const auto plans = cudnn_plans(target, p, {.deterministic = true, .most = 4});
  ASSERT_FALSE(plans.empty());
  EXPECT_EQ(plans[0].dialect.bias_type, DType::bf16);
  for (const CudnnPlan& plan : plans) {
    CudnnPlan again;
    ASSERT_TRUE(cudnn_plan_by_name(target, p, plan.name, again)) << plan.name;
    EXPECT_EQ(again.workspace_bytes, plan.workspace_bytes);
  }
  for (const char* name : {"", "cudnn", "cudnn engine x bias bf16 knobs", "cudnn engine 9999 bias bf16 knobs", "cudnn engine 41 bias u8 knobs", "cudnn engine 41 bias bf16 knobs 2=", "cudnn engine 41 bias bf16 knobs 2=999999"}) {
    CudnnPlan again;
    EXPECT_FALSE(cudnn_plan_by_name(target, p, name, again)) << name;
  }
}

TEST_F(Plans, TrueF32TakesNoTensorCores) {
  // The engines differ: those of tf32 stand first and are refused in f32.
  const Descriptor described = described_device(description(h200));
  const PlanTarget target{nullptr, described.get(), {}};
  ConvolutionPattern p;
  p.images = 16;
  p.channels = p.outputs = 128;
  p.rows = p.columns = p.out_rows = p.out_columns = 28;
  p.vertical = p.horizontal = {3, 1, 1, 1};
  const auto exact = cudnn_plans(target, p, {.deterministic = true, .most = 1, .most_compiled = 0});
  p.tf32 = true;
  const auto rounded = cudnn_plans(target, p, {.deterministic = true, .most = 1, .most_compiled = 0});
  ASSERT_FALSE(exact.empty());
  ASSERT_FALSE(rounded.empty());
  EXPECT_NE(exact[0].name, rounded[0].name);
}

TEST_F(Plans, ADescriptionThatIsNoneIsRefused) {
  for (const char* text : {"", "{", "{}", "[1, 2]"}) EXPECT_THROW(described_device(text), Error) << text;
}

}  // namespace
}  // namespace limpid::cuda
