// Each exact shortcut against the same job without it: integrated gradients with 50 steps and saliency of ResNet-18 and -50 with random weights
// (time does not depend on their values). `workspace_MiB` is what the run's planned memory takes.
#include <benchmark/benchmark.h>
#include <limpid/attribution/attribution.h>

namespace {

using namespace limpid;

struct Switch {
  const char* name;
  bool PassOptions::*off;  // null: all on
};
constexpr Switch switches[] = {{"all_on", nullptr},
                               {"without_hoist_linear", &PassOptions::hoist_linear},
                               {"without_keep_masks", &PassOptions::keep_masks},
                               {"without_sum_before_linear", &PassOptions::sum_before_linear}};

using Job = Attribution (*)(const Explainer&, const Tensor&);

void run(benchmark::State& state, const std::string& architecture, Job job, const Switch& without) {
  CompileOptions options;
  options.device = "cpu";
  options.precision = Precision::f32;
  if (without.off) options.passes.*without.off = false;
  const Explainer explainer(Model::load("random", architecture), options);
  const Tensor x = Tensor::full({1, 3, 224, 224}, 0.5);
  std::size_t peak = job(explainer, x).peak_bytes;  // compiles
  for (auto _ : state) benchmark::DoNotOptimize(peak = job(explainer, x).peak_bytes);
  state.counters["workspace_MiB"] = static_cast<double>(peak) / (1 << 20);
}

const bool registered = [] {
  const std::pair<const char*, Job> jobs[] = {{"integrated_gradients_50", [](const Explainer& e, const Tensor& x) { return integrated_gradients(e, x, {0}); }},
                                              {"saliency", [](const Explainer& e, const Tensor& x) { return saliency(e, x, {0}); }}};
  for (const char* architecture : {"resnet18", "resnet50"})
    for (const auto& [name, job] : jobs)
      for (const Switch& s : switches)
        benchmark::RegisterBenchmark(("shortcuts/" + std::string(architecture) + "/" + name + "/" + s.name).c_str(),
                                     [=, run_job = job](benchmark::State& state) { run(state, architecture, run_job, s); })
            ->Unit(benchmark::kMillisecond)
            ->UseRealTime();
  return true;
}();

}  // namespace
