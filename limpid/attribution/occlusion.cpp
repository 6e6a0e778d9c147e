// Occlusion (Zeiler & Fergus 2014, section 4.2) and feature ablation: what the score loses when a part of the input is replaced.
#include <limpid/attribution/attribution_graph.h>

#include <algorithm>

namespace limpid {

std::vector<Attribution> occlusion(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const OcclusionOptions& options, const RunOptions& run) {
  AttributionGraph a(explainer, inputs, targets.each, run);
  const Value baseline = a.bind(options.baselines);
  const Shape& x = a.input.shape();
  const auto &size = options.sliding_window_shapes, &stride = options.strides;
  for (int i = 0; i < 3; ++i) {
    const auto k = static_cast<std::size_t>(i);
    const char* axis[] = {"channels", "rows", "columns"};
    require(size[k] >= 1 && size[k] <= x[i], "The window covers ", size[k], " ", axis[i], "; between 1 and the input's ", x[i], " are possible.");
    require(stride[k] >= 1 && stride[k] <= size[k], "The stride of ", stride[k], " ", axis[i], " must lie between 1 and the window's ", size[k], ", or parts of the input are never covered.");
  }
  const WindowGrid grid{{size[0], stride[0], x[0]}, {size[1], stride[1], x[1]}, {size[2], stride[2], x[2]}};

  const Value occluded = occlude_windows(a.input, baseline, grid);  // [N,..] -> [N*S,..]
  const auto at_windows = a.scores(occluded);
  return a.run(a.scores(a.input), [&](Value score, std::size_t i) { return scatter_windows(score, collect(at_windows[i]), grid); });
}

Tensor grid_feature_mask(std::int64_t height, std::int64_t width, std::int64_t rows, std::int64_t columns) {
  require(rows >= 1 && columns >= 1 && rows <= height && columns <= width, "A grid of ", rows, "x", columns, " does not fit ", height, "x", width, " pixels.");
  Tensor mask(Shape{1, 1, height, width}, DType::i64);
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x) mask.data<std::int64_t>()[y * width + x] = y * rows / height * columns + x * columns / width;
  return mask;
}

namespace {

/// The mask numbered from 0, as [N,C,H,W]; and the number of features.
std::pair<Tensor, std::int64_t> feature_groups(const Tensor& mask, const Shape& inputs) {
  Tensor groups(inputs, DType::i64);
  std::int64_t* out = groups.data<std::int64_t>();
  const std::int64_t size = inputs.inner().numel(), plane = inputs[2] * inputs[3];
  if (!mask.defined()) {
    for (std::int64_t i = 0; i < groups.numel(); ++i) out[i] = i % size;
    return {groups, size};
  }
  const Shape& m = mask.shape();
  require(mask.dtype() == DType::i64 && m.rank() == 4 && (m[0] == 1 || m[0] == inputs[0]) && (m[1] == 1 || m[1] == inputs[1]) && m[2] == inputs[2] && m[3] == inputs[3],
          "The feature mask has the shape ", m, "; whole numbers [1|N, 1|", inputs[1], ", ", inputs[2], ", ", inputs[3], "] are needed.");
  const auto values = mask.span<std::int64_t>();
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  require(*high - *low < size, "The feature mask numbers ", *low, " to ", *high, " name more features than there are elements; number them densely.");
  for (std::int64_t i = 0; i < groups.numel(); ++i) {
    const std::int64_t n = m[0] == 1 ? 0 : i / size, c = m[1] == 1 ? 0 : i / plane % inputs[1];
    out[i] = values[static_cast<std::size_t>((n * m[1] + c) * plane + i % plane)] - *low;
  }
  return {groups, *high - *low + 1};
}

/// The rectangles that the features lie in, in every sample, where each is a small part of the picture; else null. They become part of the graph, so
/// that only what a feature can reach is computed again.
std::shared_ptr<const std::vector<Box>> local_boxes(const Tensor& groups, std::int64_t count) {
  const Shape& s = groups.shape();
  auto boxes = std::make_shared<std::vector<Box>>(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < groups.numel(); ++i) {
    Box& box = (*boxes)[static_cast<std::size_t>(groups.data<std::int64_t>()[i])];
    const auto grow = [](std::array<std::int32_t, 2>& range, std::int64_t at) {
      const auto first = static_cast<std::int32_t>(at);
      range = range[0] == range[1] ? std::array{first, first + 1} : std::array{std::min(range[0], first), std::max(range[1], first + 1)};
    };
    grow(box.rows, i / s[3] % s[2]);
    grow(box.columns, i % s[3]);
  }
  std::int64_t rows = 0, columns = 0;
  for (const Box& box : *boxes) {
    rows = std::max<std::int64_t>(rows, box.rows[1] - box.rows[0]);
    columns = std::max<std::int64_t>(columns, box.columns[1] - box.columns[0]);
  }
  // One crop serves all features. Where the largest takes half of the picture it gains nothing, and the mask need not be compiled in.
  return 2 * rows * columns < s[2] * s[3] ? boxes : nullptr;
}

}  // namespace

std::vector<Attribution> feature_ablation(const Explainer& explainer, const Tensor& inputs, const Targets& targets, const FeatureAblationOptions& options, const RunOptions& run) {
  AttributionGraph a(explainer, inputs, targets.each, run);
  const Value baseline = a.bind(options.baselines);
  const auto [mask, count] = feature_groups(options.feature_mask, inputs.shape());
  const Value groups = a.bind_indices("feature_mask", mask);

  const Value ablated = ablate_features(a.input, baseline, groups, count, local_boxes(mask, count));  // [N,..] -> [N*S,..]
  const auto without = a.scores(ablated);
  return a.run(a.scores(a.input), [&](Value score, std::size_t i) { return scatter_features(score, collect(without[i]), groups); });
}

}  // namespace limpid
