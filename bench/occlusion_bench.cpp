// Incremental occlusion: `patch` alone on ResNet-18's shapes, and whole occlusions with the pass crop_windows on and off.
#include <benchmark/benchmark.h>
#include <limpid/attribution/attribution.h>
#include <limpid/cpu/describe.h>
#include <limpid/runtime/ops.h>

#include <map>

namespace limpid {
namespace {

constexpr std::int64_t rows = 20;

/// Patches of side `out` around crops of side `crop` in pictures of channels x picture x picture; GB/s of what is read and written.
void patch_alone(benchmark::State& state, std::int64_t channels, std::int64_t picture, std::int64_t crop, std::int64_t out) {
  const auto precision = state.range(0) ? Precision::bf16 : Precision::f32;
  if (!cpu_backend()->supports(precision)) return state.SkipWithError("this processor has no bf16 arithmetic");
  Graph g;
  const WindowGrid grid{{1, 1, 1}, {crop, 1, picture}, {crop, 1, picture}};
  const auto regions = [&](std::int64_t size, std::int64_t shift) {
    auto origins = std::make_shared<std::vector<std::array<std::int32_t, 2>>>();
    for (std::int64_t w = 0; w < grid.count(); ++w) origins->push_back({static_cast<std::int32_t>(grid.at(w).row + shift), static_cast<std::int32_t>(grid.at(w).column + shift)});
    return Regions{size, size, std::move(origins)};
  };
  const Regions from = regions(crop, 0);
  const Value x = g.input("x", {1, picture, picture}), weight = g.constant(Tensor::full({channels, 1, 1, 1}, 0.5));
  const Value occluded = g.append(ops::occlude_windows, {x, x}, WindowAttributes{grid, from});
  const std::vector<int> outputs{collect(sum(patch(conv2d(occluded, weight), conv2d(x, weight), from, regions(out, (crop - out) / 2)))).id};
  std::vector<int> kept = outputs;
  const std::shared_ptr<const Graph> graph = passes::eliminate_dead(g, kept);
  const auto program = cpu_backend()->lower(graph, kept, {precision, 0, 1, rows, true});
  const auto workspace = program->make_workspace();
  program->upload(*workspace, 0, Tensor::full({1, 1, picture, picture}, 0.5));
  program->run(*workspace, Phase::prologue, 0, 0);
  for (auto _ : state) {
    double seconds = 0;
    for (const auto& [name, time] : cpu::timed_run(*program, *workspace, Phase::body, 0, rows))
      if (name.starts_with("patch")) seconds += time;
    state.SetIterationTime(seconds);
  }
  state.counters["GB/s"] = benchmark::Counter(static_cast<double>(rows * channels * out * out) * (state.range(0) ? 4 : 8) * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

struct Network { const char *name, *weights, *architecture; };
constexpr Network networks[] = {{"resnet18", "random", "resnet18"}, {"resnet50", "random", "resnet50"}, {"efficientnet_lite0", "efficientnet_lite0", ""}};

const Explainer& explainer(const Network& n, bool crops, Precision precision) {
  static std::map<std::string, std::unique_ptr<Explainer>> made;
  auto& e = made[std::string(n.name) + (crops ? "+" : "-") + std::string(name_of(precision))];
  if (!e) {
    CompileOptions options;
    options.device = "cpu";
    options.precision = precision;
    options.passes.crop_windows = crops;
    e = std::make_unique<Explainer>(Model::load(n.weights, n.architecture), options);
  }
  return *e;
}

/// Square windows over a picture of 224x224; per iteration one whole attribution.
void whole(benchmark::State& state, const Network& n, std::int64_t window, std::int64_t stride) {
  const auto precision = state.range(1) ? Precision::bf16 : Precision::f32;
  if (!cpu_backend()->supports(precision)) return state.SkipWithError("this processor has no bf16 arithmetic");
  const Explainer& e = explainer(n, state.range(0) != 0, precision);
  const Tensor x = Tensor::full({1, 3, 224, 224}, 0.5);
  std::size_t peak = 0;
  for (auto _ : state) peak = occlusion(e, x, {0, {3, window, window}, {3, stride, stride}}).peak_bytes;
  state.counters["MiB"] = static_cast<double>(peak) / (1 << 20);
}

const bool registered = [] {
  struct Shapes { std::int64_t channels, picture, crop, out; };
  for (const auto& [channels, picture, crop, out] : {Shapes{64, 112, 10, 13}, Shapes{64, 56, 12, 16}, Shapes{128, 28, 12, 16}, Shapes{256, 14, 10, 14}}) {
    const std::string name = "patch/" + std::to_string(channels) + 'x' + std::to_string(picture) + '/' + std::to_string(crop) + "_to_" + std::to_string(out);
    benchmark::RegisterBenchmark(name.c_str(), [c = channels, p = picture, k = crop, o = out](benchmark::State& state) { patch_alone(state, c, p, k, o); })
        ->UseManualTime()->ArgName("bf16")->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond);
  }
  for (const Network& n : networks)
    for (const auto& [window, stride] : {std::pair{15, 8}, std::pair{32, 16}}) {
      const std::string name = "occlusion/" + std::string(n.name) + '/' + std::to_string(window) + '_' + std::to_string(stride);
      benchmark::RegisterBenchmark(name.c_str(), [n, w = window, s = stride](benchmark::State& state) { whole(state, n, w, s); })
          ->ArgNames({"crops", "bf16"})->ArgsProduct({{0, 1}, {0, 1}})->Unit(benchmark::kMillisecond)->UseRealTime();
    }
  return true;
}();

}  // namespace
}  // namespace limpid
