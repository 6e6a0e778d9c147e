#pragma once
// One descriptor of cuDNN's backend API, owned.
#include <limpid/cuda/driver/libraries.h>

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace limpid::cuda {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(cudnnBackendDescriptorType_t type) { check(cudnn().create_descriptor(type, &handle_), "cudnnBackendCreateDescriptor"); }
  ~Descriptor() {
    if (handle_) cudnn().destroy_descriptor(handle_);
  }
  Descriptor(Descriptor&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }

  cudnnBackendDescriptor_t get() const { return handle_; }

  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count, const void* values) { check(cudnn().set_attribute(handle_, name, type, count, values), "cudnnBackendSetAttribute"); }
  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const T& value) { set(name, type, 1, &value); }
  void set(cudnnBackendAttributeName_t name, std::int64_t value) { set(name, CUDNN_TYPE_INT64, value); }
  void set(cudnnBackendAttributeName_t name, std::span<const std::int64_t> values) { set(name, CUDNN_TYPE_INT64, static_cast<std::int64_t>(values.size()), values.data()); }
  void set(cudnnBackendAttributeName_t name, cudnnDataType_t value) { set(name, CUDNN_TYPE_DATA_TYPE, value); }
  void set(cudnnBackendAttributeName_t name, const Descriptor& other) { set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, other.handle_); }

  void finalize() { check(cudnn().finalize(handle_), "cudnnBackendFinalize"); }
  /// False where cuDNN has no way to do what is described.
  bool try_finalize() { return cudnn().finalize(handle_) == CUDNN_STATUS_SUCCESS; }

  std::int64_t count(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const {
    std::int64_t n = 0;
    check(cudnn().get_attribute(handle_, name, type, 0, &n, nullptr), "cudnnBackendGetAttribute");
    return n;
  }
  template <class T>
  T get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const {
    T value{};
    std::int64_t n = 0;
    check(cudnn().get_attribute(handle_, name, type, 1, &n, &value), "cudnnBackendGetAttribute");
    return value;
  }
  template <class T>
  std::vector<T> get_all(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const {
    std::vector<T> values(static_cast<std::size_t>(count(name, type)));
    std::int64_t n = 0;
    if (!values.empty()) check(cudnn().get_attribute(handle_, name, type, static_cast<std::int64_t>(values.size()), &n, values.data()), "cudnnBackendGetAttribute");
    values.resize(static_cast<std::size_t>(n));
    return values;
  }
  /// Descriptors that this one holds, filled into new ones of the same type.
  std::vector<Descriptor> held(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type, std::int64_t most) const {
    std::vector<Descriptor> all;
    std::vector<cudnnBackendDescriptor_t> handles;
    for (std::int64_t i = 0; i < most; ++i) handles.push_back(all.emplace_back(type).get());
    std::int64_t n = 0;
    if (most) check(cudnn().get_attribute(handle_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, &n, handles.data()), "cudnnBackendGetAttribute");
    all.resize(static_cast<std::size_t>(n < most ? n : most));
    return all;
  }

 private:
  cudnnBackendDescriptor_t handle_ = nullptr;
};

}  // namespace limpid::cuda
