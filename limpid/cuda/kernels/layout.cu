// Layout conversions: a thread moves eight channels of one point, points running fastest, so that the plain side is read and written in
// whole lines. Bytes: 4 a plain element, the picture type's size a padded one.
#include <limpid/cuda/element.h>
#include <limpid/cuda/kernels/layout.h>

namespace limpid::cuda::kernels {
namespace {

template <class T>
__global__ void to_picture_kernel(const float* plain, T* picture, std::uint32_t items, std::uint32_t channels, std::uint32_t points) {
  const auto i = static_cast<std::uint32_t>(thread_number());
  if (i >= items) return;
  const std::uint32_t packs = (channels + 7) / 8, point = i % points, pack = i / points % packs, image = i / points / packs;
  Float8 f{};
  for (std::uint32_t k = 0; k < 8 && pack * 8 + k < channels; ++k) f.v[k] = plain[(static_cast<std::int64_t>(image) * channels + pack * 8 + k) * points + point];
  store8(picture + ((static_cast<std::int64_t>(image) * points + point) * packs + pack) * 8, f);
}

template <class T>
__global__ void to_plain_kernel(const T* picture, float* plain, std::uint32_t items, std::uint32_t channels, std::uint32_t points) {
  const auto i = static_cast<std::uint32_t>(thread_number());
  if (i >= items) return;
  const std::uint32_t packs = (channels + 7) / 8, point = i % points, pack = i / points % packs, image = i / points / packs;
  const Float8 f = load8(picture + ((static_cast<std::int64_t>(image) * points + point) * packs + pack) * 8);
  for (std::uint32_t k = 0; k < 8 && pack * 8 + k < channels; ++k) plain[(static_cast<std::int64_t>(image) * channels + pack * 8 + k) * points + point] = f.v[k];
}

template <class From, class To>
__global__ void change_type_kernel(const From* from, To* to, std::int64_t n) {
  const std::int64_t i = 8 * thread_number();
  if (i < n) store_some(to, i, n, load_some(from, i, n));
}

}  // namespace

void to_picture(Stream& stream, const float* plain, void* picture, DType type, std::int64_t images, std::int64_t channels, std::int64_t points) {
  const std::int64_t items = images * packs(channels) * points;
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(to_picture_kernel<T>, blocks_for(items), dim3(256), stream, plain, static_cast<T*>(picture), static_cast<std::uint32_t>(items), static_cast<std::uint32_t>(channels), static_cast<std::uint32_t>(points));
  });
}

void to_plain(Stream& stream, const void* picture, DType type, float* plain, std::int64_t images, std::int64_t channels, std::int64_t points) {
  const std::int64_t items = images * packs(channels) * points;
  dispatch_element(type, [&](auto t) {
    using T = decltype(t);
    launch(to_plain_kernel<T>, blocks_for(items), dim3(256), stream, static_cast<const T*>(picture), plain, static_cast<std::uint32_t>(items), static_cast<std::uint32_t>(channels), static_cast<std::uint32_t>(points));
  });
}

void change_type(Stream& stream, const void* from, DType from_type, void* to, DType to_type, std::int64_t n) {
  dispatch_element(from_type, [&](auto a) {
    dispatch_element(to_type, [&](auto b) {
      using From = decltype(a);
      using To = decltype(b);
      if constexpr (std::is_same_v<From, float> || std::is_same_v<To, float>)
        launch(change_type_kernel<From, To>, blocks_for(packs(n)), dim3(256), stream, static_cast<const From*>(from), static_cast<To*>(to), n);
      else fail(ErrorCode::internal, "cuda: no conversion between two 16-bit floats.");
    });
  });
}

}  // namespace limpid::cuda::kernels
