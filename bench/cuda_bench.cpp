// Every way to do the convolutions of ResNet-50 on a GPU, timed by events. TFLOP/s and GB/s count the work declared below; `floor` is the share
// of the time that an H200 would take at 790 TFLOP/s (bf16) and 4.3 TB/s, whichever is longer.
#include <benchmark/benchmark.h>
#include <limpid/cuda/convolution.h>

#include <algorithm>
#include <iostream>

namespace limpid::cuda {
namespace {

ConvolutionPattern pattern(bool backward, std::int64_t channels, std::int64_t outputs, std::int64_t extent, std::int64_t kernel, std::int64_t groups = 1) {
  ConvolutionPattern p;
  p.backward = backward;
  p.images = 50;
  p.channels = channels;
  p.outputs = outputs;
  p.groups = groups;
  p.rows = p.columns = p.out_rows = p.out_columns = extent;
  p.vertical = p.horizontal = {kernel, 1, kernel / 2, kernel / 2};
  p.type = DType::bf16;
  p.mask = true;
  p.bias = !backward;
  p.activation = backward ? Activation::none : Activation::relu;
  return p;
}

void run(benchmark::State& state, const ConvolutionPlan& plan, const ConvolutionPattern& p) {
  const std::size_t element = size_of(p.type), in = static_cast<std::size_t>(p.in_elements()) * element, out = static_cast<std::size_t>(p.out_elements()) * element;
  const std::size_t weights = static_cast<std::size_t>(p.outputs * p.vertical.kernel * p.horizontal.kernel * (p.channels / p.groups)) * element, mask = static_cast<std::size_t>(p.out_elements() / 8);
  Stream stream(0);
  const DeviceMemory x(0, in), w(0, weights), y(0, out), bias(0, static_cast<std::size_t>(p.outputs) * 4), bits(0, mask), workspace(0, plan.workspace_bytes());
  for (const DeviceMemory* m : {&x, &w, &bias, &bits}) stream.zero(m->data(), m->bytes());
  Event start(0), end(0);
  const ConvolutionArguments arguments{.in = x.data(), .weight = w.data(), .out = y.data(), .bias = p.bias ? bias.data() : nullptr, .mask = bits.data(), .workspace = workspace.data()};
  plan.run(stream, arguments);
  double seconds = 0;
  for (auto _ : state) {
    start.record(stream);
    plan.run(stream, arguments);
    end.record(stream);
    const double time = static_cast<double>(end.milliseconds_since(start)) * 1e-3;
    state.SetIterationTime(time);
    seconds += time;
  }
  const double runs = static_cast<double>(state.iterations()), bytes = static_cast<double>(in + weights + out + mask);
  const double floor = std::max(p.flops() / 790e12, bytes / 4.3e12);
  state.counters["TFLOP/s"] = p.flops() * runs / seconds * 1e-12;
  state.counters["GB/s"] = bytes * runs / seconds * 1e-9;
  state.counters["floor"] = floor * runs / seconds;
}

}  // namespace

void register_benchmarks() {
  for (const bool backward : {false, true})
    for (const ConvolutionPattern& p : {pattern(backward, 64, 64, 56, 3), pattern(backward, 64, 256, 56, 1), pattern(backward, 128, 128, 28, 3), pattern(backward, 1024, 256, 14, 1), pattern(backward, 256, 256, 14, 3),
                                        pattern(backward, 512, 512, 7, 3), pattern(backward, 144, 144, 56, 3, 144)})
      for (auto& way : convolution_ways(0, p, true)) {
        const std::shared_ptr<const ConvolutionPlan> plan = std::move(way);
        benchmark::RegisterBenchmark((to_string(p) + " by " + plan->name()).c_str(), [plan, p](benchmark::State& state) { run(state, *plan, p); })->UseManualTime()->Unit(benchmark::kMicrosecond);
      }
}

}  // namespace limpid::cuda

int main(int argc, char** argv) {
  if (limpid::cuda::device_list().empty()) {
    std::cerr << "There is nothing to measure: " << limpid::cuda::why_no_device() << '\n';
    return 1;
  }
  benchmark::Initialize(&argc, argv);
  limpid::cuda::register_benchmarks();
  benchmark::RunSpecifiedBenchmarks();
}
