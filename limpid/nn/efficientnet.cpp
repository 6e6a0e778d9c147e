#include <limpid/nn/efficientnet.h>

#include <algorithm>

namespace limpid::nn {
namespace {

constexpr double epsilon = 1e-3;

struct Stage { std::int64_t repeats, kernel, stride, expansion, channels; };
constexpr Stage stages[] = {{1, 3, 1, 1, 16}, {2, 3, 2, 6, 24}, {2, 5, 2, 6, 40}, {3, 3, 2, 6, 80}, {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320}};

/// TensorFlow's SAME: ceil(n / s) outputs; the odd pixel of padding goes to the end.
Conv2dOptions same(Value x, std::int64_t k, std::int64_t s, std::int64_t groups = 1) {
  Conv2dOptions o{{s, s}, {0, 0}, {0, 0}, {1, 1}, groups};
  for (int axis = 0; axis < 2; ++axis) {
    const std::int64_t n = x.shape()[axis + 1], total = std::max<std::int64_t>(((n + s - 1) / s - 1) * s + k - n, 0);
    o.padding_begin[static_cast<std::size_t>(axis)] = total / 2;
    o.padding_end[static_cast<std::size_t>(axis)] = total - total / 2;
  }
  return o;
}

Value depthwise(const Builder& b, const std::string& n, Value x, std::int64_t kernel, std::int64_t stride) {
  return b.conv(n, x, x.shape()[0], kernel, same(x, kernel, stride, x.shape()[0]));
}

Value separable(const Builder& b, const std::string& n, Value x, const Stage& s, std::int64_t stride) {
  x = b.name(relu6(b.norm(n + ".bn1", depthwise(b, n + ".conv_dw", x, s.kernel, stride), epsilon)), n + ".act1");
  return b.norm(n + ".bn2", b.conv(n + ".conv_pw", x, s.channels, 1), epsilon);
}

Value inverted_residual(const Builder& b, const std::string& n, Value x, const Stage& s, std::int64_t stride) {
  Value y = b.name(relu6(b.norm(n + ".bn1", b.conv(n + ".conv_pw", x, x.shape()[0] * s.expansion, 1), epsilon)), n + ".act1");
  y = b.name(relu6(b.norm(n + ".bn2", depthwise(b, n + ".conv_dw", y, s.kernel, stride), epsilon)), n + ".act2");
  y = b.norm(n + ".bn3", b.conv(n + ".conv_pwl", y, s.channels, 1), epsilon);
  return stride == 1 && x.shape()[0] == s.channels ? x + y : y;
}

}  // namespace

Value efficientnet_lite0(const Builder& b, Value x, std::int64_t classes) {
  x = b.name(relu6(b.norm("bn1", b.conv("conv_stem", x, 32, 3, same(x, 3, 2)), epsilon)), "act1");
  for (int i = 0; i < 7; ++i) {
    const Stage& s = stages[i];
    const std::string stage = "blocks." + std::to_string(i);
    for (std::int64_t j = 0; j < s.repeats; ++j) {
      const std::string n = stage + "." + std::to_string(j);
      const std::int64_t stride = j == 0 ? s.stride : 1;
      x = b.name(s.expansion == 1 ? separable(b, n, x, s, stride) : inverted_residual(b, n, x, s, stride), n);
    }
    b.name(x, stage);
  }
  x = b.name(relu6(b.norm("bn2", b.conv("conv_head", x, 1280, 1), epsilon)), "act2");
  return b.linear("classifier", b.name(global_avg_pool(x), "global_pool"), classes);
}

}  // namespace limpid::nn
