#include <limpid/cuda/device_constants.h>

#include <map>
#include <mutex>

namespace limpid::cuda {

std::shared_ptr<const DeviceConstant> device_constant(Stream& stream, const Tensor& source, const std::string& arrangement, const std::function<Tensor()>& arrange) {
  using Key = std::tuple<int, const void*, std::string>;
  static std::mutex mutex;
  static std::map<Key, std::weak_ptr<const DeviceConstant>> shelf;
  const std::lock_guard lock(mutex);  // held while uploading: another thread must not find a copy that is still on its way
  auto& slot = shelf[{stream.device(), source.raw(), arrangement + source.shape().to_string()}];
  if (auto found = slot.lock()) return found;
  const Tensor arranged = arrange();
  auto fresh = std::make_shared<DeviceConstant>(stream.device(), source, arranged.bytes());
  stream.upload(fresh->memory.data(), arranged.raw(), arranged.bytes());
  stream.synchronize();
  slot = fresh;
  std::erase_if(shelf, [](const auto& entry) { return entry.second.expired(); });
  return fresh;
}

Tensor arranged_weights(const Tensor& weight, std::int64_t groups, bool dense, DType type) {
  const Tensor plain = weight.to(DType::f32);
  const Shape& s = plain.shape();
  const std::int64_t outputs = s[0], each = s[1], kernel_rows = s[2], kernel_columns = s[3], channels = each * groups;
  const std::int64_t depth = groups == 1 || dense ? padded(channels) : each;  // channels that one output reads
  Tensor arranged(Shape{padded(outputs), kernel_rows, kernel_columns, depth});
  float* to = arranged.data<float>();
  for (std::int64_t o = 0; o < outputs; ++o) {
    const std::int64_t first = dense ? o / (outputs / groups) * each : 0;  // where its group starts
    for (std::int64_t c = 0; c < each; ++c)
      for (std::int64_t t = 0; t < kernel_rows * kernel_columns; ++t)
        to[(o * kernel_rows * kernel_columns + t) * depth + first + c] = plain.data<float>()[(o * each + c) * kernel_rows * kernel_columns + t];
  }
  return arranged.to(type);
}

}  // namespace limpid::cuda
