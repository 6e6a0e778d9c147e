// Whole attributions as Google Benchmarks: each job in a process that has compiled and warmed up. Weights: the bundled ResNet-18 and
// EfficientNet-Lite0, and random ones of ResNet-18 and -50 (time does not depend on their values).
#include <benchmark/benchmark.h>
#include <limpid/attribution/attribution.h>

#include <map>

namespace {

using namespace limpid;

const Explainer& explainer(const std::string& device, const std::string& weights, const std::string& architecture, Precision precision) {
  static std::map<std::string, std::unique_ptr<Explainer>> made;
  auto& e = made[device + weights + architecture + std::string(name_of(precision))];
  if (!e) {
    CompileOptions options;
    options.device = device;
    options.precision = precision;
    e = std::make_unique<Explainer>(Model::load(weights, architecture), options);
  }
  return *e;
}

struct Network { const char *name, *weights, *architecture; };
constexpr Network networks[] = {{"resnet18", "random", "resnet18"}, {"resnet50", "random", "resnet50"}, {"efficientnet_lite0", "efficientnet_lite0", ""}};

using Job = std::size_t (*)(const Explainer&, const Tensor&);
struct Named { const char* name; Job run; };
const Named jobs[] = {
    {"classify", [](const Explainer& e, const Tensor& x) { return benchmark::DoNotOptimize(e.logits(x)), std::size_t{0}; }},
    {"saliency", [](const Explainer& e, const Tensor& x) { return saliency(e, x, {0}).peak_bytes; }},
    {"gradcam", [](const Explainer& e, const Tensor& x) { return gradcam(e, x, {0}).peak_bytes; }},
    {"guided_gradcam", [](const Explainer& e, const Tensor& x) { return guided_gradcam(e, x, {0}).peak_bytes; }},
    {"integrated_gradients_50", [](const Explainer& e, const Tensor& x) { return integrated_gradients(e, x, {0}).peak_bytes; }},
    {"occlusion_32_16", [](const Explainer& e, const Tensor& x) { return occlusion(e, x, {0, {3, 32, 32}, {3, 16, 16}}).peak_bytes; }},
    {"occlusion_15_8", [](const Explainer& e, const Tensor& x) { return occlusion(e, x, {0}).peak_bytes; }},
};

void run(benchmark::State& state, const std::string& device, const Network& network, Job job, std::int64_t batch, Precision precision) {
  const Explainer& e = explainer(device, network.weights, network.architecture, precision);
  const Tensor x = Tensor::full({batch, 3, 224, 224}, 0.5);
  std::size_t peak = job(e, x);  // compiles
  job(e, x);                     // on a GPU, captures what the first run did
  for (auto _ : state) benchmark::DoNotOptimize(peak = job(e, x));
  if (peak) state.counters["workspace_MiB"] = static_cast<double>(peak) / (1 << 20);
  state.counters["pictures/s"] = benchmark::Counter(static_cast<double>(batch), benchmark::Counter::kIsIterationInvariantRate);
}

/// On the CPU and on every GPU that there is, in each precision that the device has; results come back to the host within the time.
const bool registered = [] {
  for (const DeviceInfo& device : devices())
    for (const Network& n : networks)
      for (const Named& j : jobs)
        for (std::int64_t batch : {1, 8, 256})
          for (Precision p : device.precisions) {
            const bool gpu = device.name.starts_with("cuda");
            if (device.name == "reference" || (batch == 256 && !(gpu && j.name == std::string_view("gradcam")))) continue;
            const std::string name = std::string(n.name) + "/" + j.name + "/batch:" + std::to_string(batch) + "/" + std::string(name_of(p)) + (gpu ? "/" + device.name : "");
            benchmark::RegisterBenchmark(name.c_str(), [=, d = device.name](benchmark::State& s) { run(s, d, n, j.run, batch, p); })->Unit(benchmark::kMillisecond)->UseRealTime();
          }
  return true;
}();

}  // namespace
