// Each exact shortcut against the same job without it: integrated gradients with 50 steps, occlusion, Grad-CAM and saliency of ResNet-18 and -50 with
// random weights (time does not depend on their values). `workspace_MiB` is what the run's planned memory takes. And several targets of one input in one
// run, against as many runs of one target.
#include <benchmark/benchmark.h>
#include <limpid/attribution/attribution.h>

#include <functional>

namespace {

using namespace limpid;

struct Switch {
  const char* name;
  bool PassOptions::*off;  // null: all on
};
constexpr Switch all_on{"all_on", nullptr}, hoist{"without_hoist_linear", &PassOptions::hoist_linear}, masks{"without_keep_masks", &PassOptions::keep_masks},
    sum{"without_sum_before_linear", &PassOptions::sum_before_linear}, crop{"without_crop_windows", &PassOptions::crop_windows}, closed{"without_closed_form", &PassOptions::closed_form};

using Job = Attribution (*)(const Explainer&, const Tensor&);
struct Named {
  const char* name;
  Job run;
  std::vector<Switch> switches;  // that its graph has a use for
};

CompileOptions on_cpu() {
  CompileOptions options;
  options.device = "cpu";
  options.precision = Precision::f32;
  return options;
}

void run(benchmark::State& state, const std::string& architecture, Job job, const Switch& without) {
  CompileOptions options = on_cpu();
  if (without.off) options.passes.*without.off = false;
  const Explainer explainer(Model::load("random", architecture), options);
  const Tensor x = Tensor::full({1, 3, 224, 224}, 0.5);
  std::size_t peak = job(explainer, x).peak_bytes;  // compiles
  for (auto _ : state) benchmark::DoNotOptimize(peak = job(explainer, x).peak_bytes);
  state.counters["workspace_MiB"] = static_cast<double>(peak) / (1 << 20);
}

using Together = std::vector<Attribution> (*)(const Explainer&, const Tensor&, const Targets&);

/// The bundled ResNet-18 and the first `count` of its classes, in one run or in one for each.
void several(benchmark::State& state, Together job, int count, bool together) {
  static const Explainer explainer(Model::load("resnet18_imagenette"), on_cpu());
  const Tensor x = Tensor::full({1, 3, 224, 224}, 0.5);
  std::vector<Targets> runs;
  if (together) {
    std::vector<Target> targets;
    for (int t = 0; t < count; ++t) targets.emplace_back(t);
    runs.emplace_back(targets);
  } else {
    for (int t = 0; t < count; ++t) runs.emplace_back(std::vector<Target>{Target(t)});
  }
  job(explainer, x, runs.front());  // compiles
  std::size_t peak = 0;
  for (auto _ : state)
    for (const Targets& targets : runs) benchmark::DoNotOptimize(peak = job(explainer, x, targets).front().peak_bytes);
  state.counters["workspace_MiB"] = static_cast<double>(peak) / (1 << 20);
}

void timed(const std::string& name, const std::function<void(benchmark::State&)>& body) {
  benchmark::RegisterBenchmark(("shortcuts/" + name).c_str(), body)->Unit(benchmark::kMillisecond)->UseRealTime();
}

const bool registered = [] {
  const Named jobs[] = {{"integrated_gradients_50", [](const Explainer& e, const Tensor& x) { return integrated_gradients(e, x, {0}); }, {all_on, hoist, masks, sum, closed}},
                        {"occlusion_32_32", [](const Explainer& e, const Tensor& x) { return occlusion(e, x, {0, {3, 32, 32}, {3, 32, 32}}); }, {all_on, crop, closed}},
                        {"gradcam", [](const Explainer& e, const Tensor& x) { return gradcam(e, x, {0}); }, {all_on, closed}},
                        {"saliency", [](const Explainer& e, const Tensor& x) { return saliency(e, x, {0}); }, {all_on, masks, closed}}};
  for (const char* architecture : {"resnet18", "resnet50"})
    for (const Named& job : jobs)
      for (const Switch& s : job.switches)
        timed(std::string(architecture) + "/" + job.name + "/" + s.name, [=, work = job.run](benchmark::State& state) { run(state, architecture, work, s); });

  const std::pair<const char*, Together> methods[] = {
      {"integrated_gradients_5", [](const Explainer& e, const Tensor& x, const Targets& t) { return integrated_gradients(e, x, t, {{}, {}, 5}); }},
      {"occlusion_48_48", [](const Explainer& e, const Tensor& x, const Targets& t) { return occlusion(e, x, t, {{}, {3, 48, 48}, {3, 48, 48}}); }},
      {"saliency", [](const Explainer& e, const Tensor& x, const Targets& t) { return saliency(e, x, t); }}};
  for (const auto& [name, job] : methods)
    for (const int count : {1, 2, 5})
      for (const bool together : {true, false})
        if (count > 1 || together)
          timed(std::string("targets/") + name + "/" + std::to_string(count) + (together ? "_in_one_run" : "_apart"), [=, work = job](benchmark::State& state) { several(state, work, count, together); });
  return true;
}();

}  // namespace
