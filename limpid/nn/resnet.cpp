#include <limpid/nn/resnet.h>

namespace limpid::nn {
namespace {

constexpr Conv2dOptions same(std::int64_t kernel, std::int64_t stride = 1, std::int64_t groups = 1) {
  const std::int64_t p = kernel / 2;
  return {{stride, stride}, {p, p}, {p, p}, {1, 1}, groups};
}

Value block(const Builder& b, const std::string& name, Value x, const ResNetConfig& config, std::int64_t planes, std::int64_t stride) {
  const std::int64_t width = config.bottleneck ? planes * config.width_per_group / 64 * config.groups : planes;
  const std::int64_t outputs = config.bottleneck ? planes * 4 : planes;
  Value y;
  if (config.bottleneck) {
    y = b.name(relu(b.norm(name + ".bn1", b.conv(name + ".conv1", x, width, 1))), name + ".relu");
    y = b.name(relu(b.norm(name + ".bn2", b.conv(name + ".conv2", y, width, 3, same(3, stride, config.groups)))), name + ".relu_1");
    y = b.norm(name + ".bn3", b.conv(name + ".conv3", y, outputs, 1));
  } else {
    y = b.name(relu(b.norm(name + ".bn1", b.conv(name + ".conv1", x, outputs, 3, same(3, stride)))), name + ".relu");
    y = b.norm(name + ".bn2", b.conv(name + ".conv2", y, outputs, 3, same(3)));
  }
  Value shortcut = x;
  if (stride != 1 || x.shape()[0] != outputs) {
    shortcut = b.norm(name + ".downsample.1", b.conv(name + ".downsample.0", x, outputs, 1, same(1, stride)));
    b.name(shortcut, name + ".downsample");
  }
  y = b.name(relu(y + shortcut), name + (config.bottleneck ? ".relu_2" : ".relu_1"));
  return b.name(y, name);
}

}  // namespace

std::optional<ResNetConfig> resnet_config(std::string_view a) {
  if (a == "resnet18") return ResNetConfig{false, {2, 2, 2, 2}};
  if (a == "resnet34") return ResNetConfig{false, {3, 4, 6, 3}};
  if (a == "resnet50") return ResNetConfig{true, {3, 4, 6, 3}};
  if (a == "resnet101") return ResNetConfig{true, {3, 4, 23, 3}};
  if (a == "resnet152") return ResNetConfig{true, {3, 8, 36, 3}};
  if (a == "wide_resnet50_2") return ResNetConfig{true, {3, 4, 6, 3}, 1, 128};
  if (a == "wide_resnet101_2") return ResNetConfig{true, {3, 4, 23, 3}, 1, 128};
  if (a == "resnext50_32x4d") return ResNetConfig{true, {3, 4, 6, 3}, 32, 4};
  if (a == "resnext101_32x8d") return ResNetConfig{true, {3, 4, 23, 3}, 32, 8};
  if (a == "resnext101_64x4d") return ResNetConfig{true, {3, 4, 23, 3}, 64, 4};
  return {};
}

Value resnet(const Builder& b, Value x, const ResNetConfig& config, std::int64_t classes) {
  x = b.name(relu(b.norm("bn1", b.conv("conv1", x, 64, 7, same(7, 2)))), "relu");
  x = b.name(max_pool(x, {{3, 3}, {2, 2}, {1, 1}}), "maxpool");
  for (int stage = 0; stage < 4; ++stage) {
    const std::string name = "layer" + std::to_string(stage + 1);
    for (std::int64_t i = 0; i < config.blocks[static_cast<std::size_t>(stage)]; ++i)
      x = block(b, name + "." + std::to_string(i), x, config, std::int64_t{64} << stage, stage > 0 && i == 0 ? 2 : 1);
    b.name(x, name);
  }
  return b.linear("fc", b.name(global_avg_pool(x), "avgpool"), classes);
}

}  // namespace limpid::nn
