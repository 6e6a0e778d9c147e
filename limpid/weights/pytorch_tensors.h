#pragma once
// Tensors inside a PyTorch pickle: calls of torch._utils._rebuild_* around references to storages that lie outside of it.
#include <limpid/runtime/tensor.h>
#include <limpid/weights/pickle.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limpid {

struct PytorchElement;  // an element type of PyTorch's

/// Every global that a pickle of a checkpoint may name: what tensors are made of, and the plain things that training loops store beside them.
std::span<const std::string_view> pytorch_globals();

/// True for a dict or a call that makes one (collections.OrderedDict).
bool is_dict(const Pickle& pickle, PickleId id);

/// A persistent id: ('storage', torch.FloatStorage, key, location, elements[, (view's key, offset, elements)]).
struct StorageReference {
  const PytorchElement* element;
  std::string_view key;
  std::int64_t numel;
  std::int64_t view_offset = 0;  // in elements
  std::optional<std::int64_t> view_numel;
};

/// Throws bad_file when the value, of kind persistent, is not such a tuple.
StorageReference storage_reference(const Pickle& pickle, PickleId id, const std::string& file);

/// The bytes of so many elements; nothing when they overflow.
std::optional<std::uint64_t> storage_bytes(const StorageReference& storage, std::uint64_t numel);

/// Where the storages' bytes lie. The function returns the whole storage, or throws.
struct StorageSource {
  std::function<std::span<const std::byte>(const StorageReference&)> find;
  bool big_endian = false;
  std::uint64_t file_bytes = 0;
  std::shared_ptr<const void> owner;
};

class PytorchTensors {
 public:
  PytorchTensors(const Pickle& pickle, StorageSource source, const std::string& file);

  /// True for a call that makes a tensor or a parameter.
  bool is_tensor(PickleId id) const { return find_rebuild(id).has_value(); }

  /// A view where the elements are contiguous, aligned and of a type that Tensor has; else a copy in C order. Throws bad_file when the
  /// description does not fit the storage; unsupported for another element type.
  Tensor read(PickleId id, const std::string& name);

  /// The types that were widened so far, as "int16 to i32".
  const std::set<std::string>& widened() const { return widened_; }

 private:
  struct Rebuild {
    std::string_view function;
    const std::vector<PickleId>* arguments;
  };
  struct Layout {
    StorageReference storage;
    const PytorchElement* element;
    std::int64_t offset;  // strides and offset in elements
    std::vector<std::int64_t> shape, strides;
  };

  std::optional<Rebuild> find_rebuild(PickleId id) const;
  Layout layout(const Rebuild& rebuild, const std::string& name) const;
  std::vector<std::int64_t> extents(PickleId id, const std::string& name) const;
  std::int64_t extent(PickleId id, const std::string& name) const;
  std::span<const std::byte> elements(const Layout& layout, const std::string& name) const;
  Tensor copy(const Layout& layout, const Shape& shape, const std::byte* first, bool contiguous, const std::string& name);
  template <class... Parts>
  [[noreturn]] void refuse(const std::string& name, const Parts&... what) const;

  const Pickle& pickle_;
  StorageSource source_;
  const std::string& file_;
  std::uint64_t copy_budget_;
  std::set<std::string> widened_;
};

}  // namespace limpid
