#include <limpid/runtime/tensor.h>

#include <cstdlib>
#include <cstring>
#include <limits>

namespace limpid {

Tensor::Tensor(Shape shape, DType dtype) : shape_(std::move(shape)), dtype_(dtype) {
  std::size_t bytes = size_of(dtype);
  for (auto d : shape_) {
    require(d >= 0, "Tensor: the shape ", shape_, " has a negative extent.");
    if (d != 0 && bytes > std::numeric_limits<std::size_t>::max() / 2 / static_cast<std::size_t>(d))
      fail(ErrorCode::out_of_memory, "Tensor: the shape ", shape_, " is larger than any memory.");
    bytes *= static_cast<std::size_t>(d);
  }
  const std::size_t rounded = (bytes + 63) / 64 * 64 + (bytes == 0 ? 64 : 0);
  data_ = std::aligned_alloc(64, rounded);
  if (!data_) fail(ErrorCode::out_of_memory, "Tensor: no memory for ", bytes, " bytes (shape ", shape_, ", ", name_of(dtype), ").");
  owner_ = std::shared_ptr<const void>(data_, [](const void* p) { std::free(const_cast<void*>(p)); });
  std::memset(data_, 0, rounded);
}

Tensor Tensor::view(Shape shape, DType dtype, const void* data, std::shared_ptr<const void> owner) {
  Tensor t;
  t.shape_ = std::move(shape);
  t.dtype_ = dtype;
  t.data_ = const_cast<void*>(data);
  t.owner_ = std::move(owner);
  return t;
}

Tensor Tensor::full(Shape shape, double value, DType dtype) {
  Tensor t(std::move(shape), dtype);
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    for (auto& x : t.span<T>()) {
      if constexpr (sizeof(T) == 2) x = T(static_cast<float>(value));
      else x = static_cast<T>(value);
    }
  });
  return t;
}

namespace {

template <class From, class To>
void convert(const From* from, To* to, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    if constexpr (sizeof(To) == 2) to[i] = To(static_cast<float>(from[i]));
    else if constexpr (sizeof(From) == 2) to[i] = static_cast<To>(static_cast<float>(from[i]));
    else to[i] = static_cast<To>(from[i]);
  }
}

}  // namespace

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  Tensor out(shape_, dtype);
  dispatch(dtype_, [&](auto from) {
    dispatch(dtype, [&](auto to) { convert(data<decltype(from)>(), out.data<decltype(to)>(), numel()); });
  });
  return out;
}

Tensor Tensor::reshape(Shape shape) const {
  require(shape.numel() == numel(), "Tensor::reshape: ", shape_, " and ", shape, " differ in the number of elements.");
  Tensor t = *this;
  t.shape_ = std::move(shape);
  return t;
}

Tensor Tensor::rows(std::int64_t first, std::int64_t last) const {
  require(shape_.rank() > 0 && 0 <= first && first <= last && last <= shape_[0], "Tensor::rows: [", first, ", ", last, ") is not within the shape ", shape_, ".");
  const auto stride = static_cast<std::size_t>(shape_.inner().numel()) * size_of(dtype_);
  return view(shape_.inner().with_outer(last - first), dtype_, static_cast<const char*>(data_) + static_cast<std::size_t>(first) * stride, owner_);
}

Tensor Tensor::clone() const {
  Tensor t(shape_, dtype_);
  if (bytes()) std::memcpy(t.raw(), raw(), bytes());
  return t;
}

double Tensor::at(std::int64_t index) const {
  require(0 <= index && index < numel(), "Tensor::at: index ", index, " is outside the shape ", shape_, ".");
  return dispatch(dtype_, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (sizeof(T) == 2) return static_cast<double>(static_cast<float>(data<T>()[index]));
    else return static_cast<double>(data<T>()[index]);
  });
}

Tensor concatenate_rows(std::span<const Tensor> parts) {
  require(!parts.empty(), "concatenate_rows: no tensors.");
  if (parts.size() == 1) return parts[0];
  std::int64_t rows = 0;
  for (const auto& p : parts) {
    require(p.shape().rank() > 0 && p.shape().inner() == parts[0].shape().inner() && p.dtype() == parts[0].dtype(),
            "concatenate_rows: ", p.shape(), " does not fit behind ", parts[0].shape(), ".");
    rows += p.shape()[0];
  }
  Tensor out(parts[0].shape().inner().with_outer(rows), parts[0].dtype());
  char* to = static_cast<char*>(out.raw());
  for (const auto& p : parts) {
    if (p.bytes()) std::memcpy(to, p.raw(), p.bytes());
    to += p.bytes();
  }
  return out;
}

}  // namespace limpid
