#pragma once
// A dense array in host memory, C order. Copies share the storage; a tensor made by `view` keeps the owner alive
// (a memory-mapped weights file, say) without copying it.
#include <limpid/runtime/dtype.h>
#include <limpid/runtime/error.h>
#include <limpid/runtime/shape.h>

#include <memory>
#include <span>

namespace limpid {

class Tensor {
 public:
  Tensor() = default;

  /// New storage, all zero, aligned to 64 bytes. Throws out_of_memory; invalid_argument for a negative extent.
  explicit Tensor(Shape shape, DType dtype = DType::f32);

  /// A view of memory that `owner` keeps alive; it is never written to unless the caller knows that it may be.
  static Tensor view(Shape shape, DType dtype, const void* data, std::shared_ptr<const void> owner);

  template <class T>
  static Tensor from(Shape shape, std::span<const T> values) {
    require(static_cast<std::int64_t>(values.size()) == shape.numel(), "Tensor::from: ", values.size(), " values do not fill the shape ", shape, ".");
    Tensor t(std::move(shape), dtype_of<T>);
    std::copy(values.begin(), values.end(), t.data<T>());
    return t;
  }
  template <class T>
  static Tensor from(Shape shape, std::initializer_list<T> values) { return from<T>(std::move(shape), std::span<const T>(values.begin(), values.size())); }
  static Tensor full(Shape shape, double value, DType dtype = DType::f32);

  bool defined() const { return data_ != nullptr; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  std::int64_t numel() const { return shape_.numel(); }
  std::size_t bytes() const { return static_cast<std::size_t>(numel()) * size_of(dtype_); }

  const void* raw() const { return data_; }
  void* raw() { return data_; }

  /// The elements as T. Throws invalid_argument when the dtype is another.
  template <class T> const T* data() const { check(dtype_of<T>); return static_cast<const T*>(data_); }
  template <class T> T* data() { check(dtype_of<T>); return static_cast<T*>(data_); }
  template <class T> std::span<const T> span() const { return {data<T>(), static_cast<std::size_t>(numel())}; }
  template <class T> std::span<T> span() { return {data<T>(), static_cast<std::size_t>(numel())}; }

  /// The same elements with another dtype (itself if it already has it). Floats round to nearest even.
  Tensor to(DType dtype) const;
  /// The same storage under another shape of as many elements.
  Tensor reshape(Shape shape) const;
  /// Rows [first, last) of the outermost extent; shares the storage.
  Tensor rows(std::int64_t first, std::int64_t last) const;
  /// New storage with the same elements.
  Tensor clone() const;
  /// One element, converted to double, by flat index.
  double at(std::int64_t index) const;

 private:
  void check(DType wanted) const {
    if (dtype_ != wanted) fail(ErrorCode::invalid_argument, "Tensor: the elements are ", name_of(dtype_), ", not ", name_of(wanted), ".");
  }
  Shape shape_;
  DType dtype_ = DType::f32;
  void* data_ = nullptr;
  std::shared_ptr<const void> owner_;
};

/// Several tensors of equal inner shape and dtype, one behind the other along the outermost extent.
Tensor concatenate_rows(std::span<const Tensor> parts);

/// Calls f with a value of the C++ type that belongs to `dtype`.
template <class F>
decltype(auto) dispatch(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32: return f(float{});
    case DType::f64: return f(double{});
    case DType::f16: return f(float16{});
    case DType::bf16: return f(bfloat16{});
    case DType::i64: return f(std::int64_t{});
    case DType::i32: return f(std::int32_t{});
    case DType::u8: return f(std::uint8_t{});
  }
  fail(ErrorCode::internal, "dispatch: unknown dtype.");
}

}  // namespace limpid
