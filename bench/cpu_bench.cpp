// Single ops of the CPU backend on the shapes of ResNet-18 and ResNet-50, as they run in a sweep: only the op's own steps are timed.
// Convolutions print GFLOP/s (those of the direct algorithm, also for Winograd), the others GB/s of what they must read and write.
#include <limpid/cpu/describe.h>
#include <limpid/runtime/ops.h>
#include <limpid/runtime/passes/passes.h>

#include <benchmark/benchmark.h>

#include <string_view>

namespace limpid {
namespace {

constexpr std::int64_t rows = 10;

/// A sweep over pictures of `shape`, made from one channel by a 1x1 convolution so that they lie as a network's do.
Value pictures(Graph& g, const Shape& shape) {
  const Shape one{1, shape[1], shape[2]};
  const Value x = g.input("x", one), from = g.input("from", one), nodes = g.input("nodes", {rows}, Rows::one, Kind::coefficient);
  return conv2d(path_points(from, x, nodes), g.constant(Tensor::full({shape[0], 1, 1, 1}, 0.5)));
}

/// Runs the sweep that ends in y and reports the steps whose names start with `step`; `work` per row goes into the counter `unit`.
void measure(benchmark::State& state, Graph& g, Value y, std::string_view step, const char* unit, double work) {
  const Value weights = g.input("weights", {rows}, Rows::one, Kind::coefficient);
  std::vector<int> outputs{weighted_sum(y, weights).id};
  PassOptions passes;
  passes.hoist_linear = passes.sum_before_linear = false;  // they would take a first or last linear op out of the sweep
  const std::shared_ptr<const Graph> graph = passes::run_all(g, outputs, passes, DType::f32);
  const auto precision = state.range(0) ? Precision::bf16 : Precision::f32;
  if (!cpu_backend()->supports(precision)) return state.SkipWithError("this processor has no bf16 arithmetic");
  const auto program = cpu_backend()->lower(graph, outputs, {precision, 0, 1, rows, true});
  const auto workspace = program->make_workspace();
  for (std::size_t i = 0; i < graph->inputs().size(); ++i) {
    const auto& v = graph->value(graph->inputs()[i]);
    program->upload(*workspace, static_cast<int>(i), Tensor::full(v.rows == Rows::one ? v.shape : v.shape.with_outer(1), 0.5, v.kind == Kind::coefficient ? DType::f64 : DType::f32));
  }
  program->run(*workspace, Phase::prologue, 0, 0);
  std::string implementation;
  for (auto _ : state) {
    double seconds = 0;
    for (const auto& [name, time] : cpu::timed_run(*program, *workspace, Phase::body, 0, rows))
      if (name.starts_with(step)) {
        seconds += time;
        implementation = name.substr(name.rfind(' ') + 1);
      }
    state.SetIterationTime(seconds);
  }
  state.counters[unit] = benchmark::Counter(work * rows * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  if (unit == std::string_view("GFLOP/s")) state.SetLabel(implementation);
}

struct Convolution {
  const char* name;
  std::int64_t channels, extent, outputs, kernel, stride;
};

Conv2dOptions options(const Convolution& c) {
  const std::int64_t p = c.kernel / 2;
  return {{c.stride, c.stride}, {p, p}, {p, p}};
}
double flops(const Convolution& c) {
  const auto outs = static_cast<double>((c.extent - 1) / c.stride + 1);
  return 2 * outs * outs * static_cast<double>(c.channels * c.outputs * c.kernel * c.kernel);
}

void conv2d_forward(benchmark::State& state, Convolution c) {
  Graph g;
  const Value x = pictures(g, {c.channels, c.extent, c.extent});
  const Value y = relu(conv2d(relu(x), g.constant(Tensor::full({c.outputs, c.channels, c.kernel, c.kernel}, 0.01)), g.constant(Tensor::full({c.outputs}, 0.01)), options(c)));
  const std::string step = "conv2d " + x.shape().to_string() + ' ' + Shape{c.outputs, c.channels, c.kernel, c.kernel}.to_string();
  measure(state, g, y, step, "GFLOP/s", flops(c));
}

void conv2d_backward(benchmark::State& state, Convolution c) {
  Graph g;
  const std::int64_t outs = (c.extent - 1) / c.stride + 1;
  const Value dy = pictures(g, {c.outputs, outs, outs});
  Conv2dAttributes a;
  a.rows = a.columns = {c.kernel, c.stride, c.kernel / 2, c.kernel / 2, 1};
  a.in_rows = a.in_columns = c.extent;
  const Value dx = g.append(ops::conv2d_backward_data, {dy, g.constant(Tensor::full({c.outputs, c.channels, c.kernel, c.kernel}, 0.01))}, a);
  measure(state, g, scale(dx, 2), "conv2d_backward_data", "GFLOP/s", flops(c));
}

/// `passes` over memory of `shape` a row: how often an element is read or written.
void elementwise(benchmark::State& state, const char* step, Value (*build)(Value), Shape shape, double passes) {
  Graph g;
  const double size = state.range(0) ? 2 : 4;
  measure(state, g, build(pictures(g, shape)), step, "GB/s", passes * size * static_cast<double>(shape.numel()));
}

Value norm(Value x) {
  const auto numbers = [&](double v) { return x.graph->constant(Tensor::full({x.shape()[0]}, v)); };
  return batch_norm(x, numbers(1.5), numbers(0.5), numbers(0.25), numbers(2));
}

Value pool_backward(Value x) {
  const Value y = max_pool(x, {{3, 3}, {2, 2}, {1, 1}});
  PoolAttributes a;
  a.rows = a.columns = {3, 2, 1, 1, 1};
  a.in_rows = x.shape()[1];
  a.in_columns = x.shape()[2];
  return x.graph->append(ops::max_pool_backward, {Value{x.graph, y.id + 1}, y}, a);  // the taps are max_pool's second output
}

/// ResNet-50's classifier, 2048 -> 1000, forward or backward.
void classifier(benchmark::State& state, bool backward) {
  Graph g;
  const Value x = global_avg_pool(pictures(g, {2048, 1, 1})), weight = g.constant(Tensor::full({1000, 2048}, 0.01));
  const Value y = linear(x, weight);
  measure(state, g, backward ? g.append(ops::linear_backward, {y, weight}) : y, backward ? "linear_backward" : "linear ", "GFLOP/s", 2.0 * 1000 * 2048);
}

/// A source op on pictures of 3x224x224: it reads the input and the baseline and writes a row.
void source(benchmark::State& state, std::string_view op) {
  Graph g;
  const Shape shape{3, 224, 224};
  const Value x = g.input("x", shape), from = g.input("from", shape);
  Value y;
  if (op == "path_points") y = path_points(from, x, g.input("nodes", {rows}, Rows::one, Kind::coefficient));
  if (op == "occlude_windows") y = occlude_windows(x, from, {{3, 3, 3}, {224, 1, 224}, {15, 24, 224}});  // ten windows
  if (op == "ablate_features") y = ablate_features(x, from, g.constant(Tensor(shape, DType::i64)), rows);
  measure(state, g, y, op, "GB/s", (state.range(0) ? 10.0 : 12.0) * static_cast<double>(shape.numel()));
}

const bool registered = [] {
  const Convolution convolutions[] = {
      {"conv1", 3, 224, 64, 7, 2},
      {"18.layer1", 64, 56, 64, 3, 1}, {"18.layer2.0", 64, 56, 128, 3, 2}, {"18.layer2", 128, 28, 128, 3, 1}, {"18.layer2.downsample", 64, 56, 128, 1, 2},
      {"18.layer3.0", 128, 28, 256, 3, 2}, {"18.layer3", 256, 14, 256, 3, 1}, {"18.layer4.0", 256, 14, 512, 3, 2}, {"18.layer4", 512, 7, 512, 3, 1},
      {"50.layer1.conv1", 256, 56, 64, 1, 1}, {"50.layer1.conv3", 64, 56, 256, 1, 1}, {"50.layer2.0.conv2", 128, 56, 128, 3, 2}, {"50.layer2.conv3", 128, 28, 512, 1, 1},
      {"50.layer3.0.conv2", 256, 28, 256, 3, 2}, {"50.layer3.conv3", 256, 14, 1024, 1, 1}, {"50.layer4.0.conv2", 512, 14, 512, 3, 2}, {"50.layer4.conv3", 512, 7, 2048, 1, 1},
  };
  const auto add = [](const std::string& name, auto f) {
    benchmark::RegisterBenchmark(name.c_str(), f)->UseManualTime()->ArgName("bf16")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);
  };
  for (const Convolution& c : convolutions) {
    add(std::string("conv2d/") + c.name, [c](benchmark::State& s) { conv2d_forward(s, c); });
    add(std::string("conv2d_backward_data/") + c.name, [c](benchmark::State& s) { conv2d_backward(s, c); });
  }
  const Shape wide{64, 112, 112};
  add("activation", [=](benchmark::State& s) { elementwise(s, "activation ", [](Value x) { return x + relu(x); }, wide, 2); });
  add("activation_backward", [=](benchmark::State& s) {
    elementwise(s, "activation_backward", [](Value x) { return activation_backward(x, relu(x), Activation::relu, ReluRule::plain); }, wide, 3);
  });
  add("add", [=](benchmark::State& s) { elementwise(s, "add", [](Value x) { return x + relu(x); }, wide, 3); });
  add("max_pool", [=](benchmark::State& s) { elementwise(s, "max_pool", [](Value x) { return max_pool(x, {{3, 3}, {2, 2}, {1, 1}}); }, wide, 1.25); });
  add("weighted_sum", [=](benchmark::State& s) { elementwise(s, "weighted_sum", [](Value x) { return x; }, wide, 3); });
  add("global_avg_pool", [](benchmark::State& s) { elementwise(s, "global_avg_pool", [](Value x) { return global_avg_pool(x); }, {2048, 7, 7}, 1); });
  add("sub", [=](benchmark::State& s) { elementwise(s, "sub", [](Value x) { return x - relu(x); }, wide, 3); });
  add("mul", [=](benchmark::State& s) { elementwise(s, "mul", [](Value x) { return x * relu(x); }, wide, 3); });
  add("scale", [=](benchmark::State& s) { elementwise(s, "scale", [](Value x) { return scale(x, 2); }, wide, 2); });
  add("abs", [=](benchmark::State& s) { elementwise(s, "abs", [](Value x) { return abs(x); }, wide, 2); });
  add("batch_norm", [=](benchmark::State& s) { elementwise(s, "batch_norm", [](Value x) { return norm(relu(x)); }, wide, 2); });
  add("max_pool_backward", [=](benchmark::State& s) { elementwise(s, "max_pool_backward", pool_backward, wide, 1.25); });
  add("avg_pool", [=](benchmark::State& s) { elementwise(s, "avg_pool", [](Value x) { return avg_pool(x, {{2, 2}, {2, 2}}); }, wide, 1.25); });
  add("interpolate", [](benchmark::State& s) { elementwise(s, "interpolate", [](Value x) { return interpolate(x, 56, 56, Interpolation::bilinear); }, {64, 28, 28}, 5); });
  add("global_avg_pool_backward", [](benchmark::State& s) {
    elementwise(s, "global_avg_pool_backward", [](Value x) { return x.graph->append(ops::global_avg_pool_backward, {global_avg_pool(x)}, ShapeAttributes{x.shape()}); }, {2048, 7, 7}, 1);
  });
  add("linear", [](benchmark::State& s) { classifier(s, false); });
  add("linear_backward", [](benchmark::State& s) { classifier(s, true); });
  add("path_points", [](benchmark::State& s) { source(s, "path_points"); });
  add("occlude_windows", [](benchmark::State& s) { source(s, "occlude_windows"); });
  add("ablate_features", [](benchmark::State& s) { source(s, "ablate_features"); });
  return true;
}();

}  // namespace
}  // namespace limpid
