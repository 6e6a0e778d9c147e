#include <limpid/runtime/error.h>
#include <limpid/weights/byte_count.h>
#include <limpid/weights/excerpt.h>
#include <limpid/weights/pytorch_tensors.h>

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

namespace limpid {

using Kind = PickleValue::Kind;

/// Where a copy takes its elements from: strides in elements, rank at least 1.
struct Strided {
  const std::byte* first;
  std::span<const std::int64_t> shape, strides;
  bool swapped;  // big-endian
};

struct PytorchElement {
  std::string_view dtype, storage;  // "torch.float32", "torch.FloatStorage"; no storage of its own: ""
  std::size_t size;
  DType target;
  void (*copy)(const Strided& from, void* to);  // null: the type cannot be read
  bool widened = false;
};

namespace {

static_assert(std::endian::native == std::endian::little, "The PyTorch reader takes the file's bytes as they are.");

template <class Stored>
Stored load(const std::byte* from, bool swapped) {
  std::array<std::byte, sizeof(Stored)> bytes;
  std::memcpy(bytes.data(), from, sizeof(Stored));
  if (swapped) std::reverse(bytes.begin(), bytes.end());
  return std::bit_cast<Stored>(bytes);
}

/// Copies in C order: a loop over the innermost extent inside an odometer over the others. Nothing may be empty.
template <class Stored, class Target = Stored>
void copy_elements(const Strided& from, void* target) {
  auto* to = static_cast<Target*>(target);
  const std::size_t last = from.shape.size() - 1;
  const auto step = [&](std::size_t d) { return from.strides[d] * static_cast<std::int64_t>(sizeof(Stored)); };
  std::vector<std::int64_t> at(from.shape.size(), 0);
  const std::byte* row = from.first;
  while (true) {
    for (std::int64_t i = 0; i < from.shape[last]; ++i) *to++ = static_cast<Target>(load<Stored>(row + i * step(last), from.swapped));
    std::size_t d = last;
    while (d > 0 && at[d - 1] == from.shape[d - 1] - 1) {
      --d;
      row -= at[d] * step(d);
      at[d] = 0;
    }
    if (d == 0) return;
    ++at[d - 1];
    row += step(d - 1);
  }
}

// Floats are moved as bits. Small integers become the next type that Tensor has and that holds all of their values.
constexpr PytorchElement elements_known[] = {
    {"torch.float32", "torch.FloatStorage", 4, DType::f32, copy_elements<std::uint32_t>},
    {"torch.float64", "torch.DoubleStorage", 8, DType::f64, copy_elements<std::uint64_t>},
    {"torch.float16", "torch.HalfStorage", 2, DType::f16, copy_elements<std::uint16_t>},
    {"torch.bfloat16", "torch.BFloat16Storage", 2, DType::bf16, copy_elements<std::uint16_t>},
    {"torch.int64", "torch.LongStorage", 8, DType::i64, copy_elements<std::uint64_t>},
    {"torch.int32", "torch.IntStorage", 4, DType::i32, copy_elements<std::uint32_t>},
    {"torch.uint8", "torch.ByteStorage", 1, DType::u8, copy_elements<std::uint8_t>},
    {"torch.bool", "torch.BoolStorage", 1, DType::u8, copy_elements<std::uint8_t>, true},
    {"torch.int16", "torch.ShortStorage", 2, DType::i32, copy_elements<std::int16_t, std::int32_t>, true},
    {"torch.int8", "torch.CharStorage", 1, DType::i32, copy_elements<std::int8_t, std::int32_t>, true},
    {"torch.uint16", "", 2, DType::i32, copy_elements<std::uint16_t, std::int32_t>, true},
    {"torch.uint32", "", 4, DType::i64, copy_elements<std::uint32_t, std::int64_t>, true},
    {"torch.uint64", "", 8, DType::i64, nullptr},
    {"torch.complex32", "", 4, DType::f32, nullptr},
    {"torch.complex64", "torch.ComplexFloatStorage", 8, DType::f32, nullptr},
    {"torch.complex128", "torch.ComplexDoubleStorage", 16, DType::f32, nullptr},
    {"torch.float8_e4m3fn", "", 1, DType::f32, nullptr},
    {"torch.float8_e5m2", "", 1, DType::f32, nullptr},
    {"torch.float8_e4m3fnuz", "", 1, DType::f32, nullptr},
    {"torch.float8_e5m2fnuz", "", 1, DType::f32, nullptr},
    {"torch.float8_e8m0fnu", "", 1, DType::f32, nullptr},
    {"torch.qint8", "torch.QInt8Storage", 1, DType::f32, nullptr},
    {"torch.quint8", "torch.QUInt8Storage", 1, DType::f32, nullptr},
    {"torch.qint32", "torch.QInt32Storage", 4, DType::f32, nullptr},
    {"", "torch.storage.UntypedStorage", 1, DType::u8, copy_elements<std::uint8_t>},
    {"", "torch.UntypedStorage", 1, DType::u8, copy_elements<std::uint8_t>},
};

constexpr std::string_view dict_types[] = {"collections.OrderedDict", "collections.defaultdict", "collections.Counter"};

constexpr std::string_view other_globals[] = {
    "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3", "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state", "torch._tensor._rebuild_from_type", "torch._tensor._rebuild_from_type_v2", "torch.Tensor",
    "torch.nn.parameter.Parameter", "torch.Size", "torch.device",
    // What lies beside the state dict in training checkpoints: settings, scores, counters. They are passed over.
    "argparse.Namespace", "types.SimpleNamespace", "pathlib.PosixPath", "pathlib.Path", "pathlib.PurePosixPath", "datetime.datetime", "datetime.timedelta",
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
    "numpy.dtype", "numpy.ndarray", "_codecs.encode", "__builtin__.list", "builtins.list", "__builtin__.dict", "builtins.dict", "__builtin__.int",
    "builtins.int", "__builtin__.float", "builtins.float", "__builtin__.set", "builtins.set", "__builtin__.frozenset", "builtins.frozenset",
    "__builtin__.complex", "builtins.complex", "__builtin__.bytearray", "builtins.bytearray",
};

const PytorchElement* element_by(std::string_view PytorchElement::*field, std::string_view name) {
  const auto* found = std::find_if(std::begin(elements_known), std::end(elements_known), [&](const auto& e) { return e.*field == name; });
  return name.empty() || found == std::end(elements_known) ? nullptr : found;
}

/// Memory that is about to be filled: not cleared first, and large pieces backed in one call, as thousands of page faults take longer
/// than the copy itself.
std::shared_ptr<void> uncleared(std::size_t bytes) {
  constexpr std::size_t large = 65536, page = 4096, line = 64;
  const std::size_t unit = bytes < large ? line : page, rounded = (bytes + unit - 1) / unit * unit;
  const std::shared_ptr<void> memory(std::aligned_alloc(unit, rounded), &std::free);
  if (!memory) fail(ErrorCode::out_of_memory, "No memory for a tensor of ", bytes, " bytes.");
  if (unit == page) ::madvise(memory.get(), rounded, MADV_POPULATE_WRITE);  // a wish: an old kernel ignores it
  return memory;
}

bool is_contiguous(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides) {
  std::int64_t expected = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    if (shape[d] != 1 && strides[d] != expected) return false;
    expected *= shape[d];
  }
  return true;
}

}  // namespace

std::span<const std::string_view> pytorch_globals() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all(std::begin(other_globals), std::end(other_globals));
    all.insert(all.end(), std::begin(dict_types), std::end(dict_types));
    for (const auto& element : elements_known)
      for (const auto name : {element.dtype, element.storage})
        if (!name.empty()) all.push_back(name);
    return all;
  }();
  return names;
}

bool is_dict(const Pickle& pickle, PickleId id) {
  const auto& value = pickle[id];
  return value.kind == Kind::dict ||
         (value.kind == Kind::call && std::find(std::begin(dict_types), std::end(dict_types), pickle[value.items[0]].text) != std::end(dict_types));
}

StorageReference storage_reference(const Pickle& pickle, PickleId id, const std::string& file) {
  const auto refuse = [&](const auto&... what) {
    fail(ErrorCode::bad_file, file, ": a storage's reference ", what..., ". The file is damaged or no checkpoint; fetch or save it again.");
  };
  const auto& tuple = pickle[pickle[id].items[0]];
  const auto& items = tuple.items;
  if (tuple.kind != Kind::tuple || items.size() < 5 || items.size() > 6) refuse("is no tuple of five or six");
  if (pickle[items[0]].kind != Kind::text || pickle[items[0]].text != "storage") refuse("does not begin with 'storage'");
  const auto* element = pickle[items[1]].kind == Kind::global ? element_by(&PytorchElement::storage, pickle[items[1]].text) : nullptr;
  if (!element) refuse("has no known type");
  if (pickle[items[2]].kind != Kind::text) refuse("has no key");
  if (pickle[items[4]].kind != Kind::integer || pickle[items[4]].integer < 0) refuse("has no number of elements");
  StorageReference reference{element, pickle[items[2]].text, pickle[items[4]].integer, 0, std::nullopt};
  if (items.size() < 6 || pickle[items[5]].kind == Kind::none) return reference;
  const auto& view = pickle[items[5]];
  if (view.kind != Kind::tuple || view.items.size() != 3) refuse("has a view that is no tuple of three");
  const auto &offset = pickle[view.items[1]], &numel = pickle[view.items[2]];
  if (offset.kind != Kind::integer || numel.kind != Kind::integer || offset.integer < 0 || numel.integer < 0 || offset.integer > reference.numel ||
      numel.integer > reference.numel - offset.integer)
    refuse("has a view that lies outside");
  reference.view_offset = offset.integer;
  reference.view_numel = numel.integer;
  return reference;
}

std::optional<std::uint64_t> storage_bytes(const StorageReference& storage, std::uint64_t numel) {
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(numel, storage.element->size, &bytes)) return std::nullopt;
  return bytes;
}

PytorchTensors::PytorchTensors(const Pickle& pickle, StorageSource source, const std::string& file)
    : pickle_(pickle), source_(std::move(source)), file_(file) {
  // An expanded tensor may be larger than the file, a thousand of them in a file of 1 KB are an attack.
  copy_budget_ = (std::uint64_t{16} << 20) + 16 * source_.file_bytes;
}

template <class... Parts>
void PytorchTensors::refuse(const std::string& name, const Parts&... what) const {
  fail(ErrorCode::bad_file, file_, ": the tensor ", excerpt(name), " ", what..., ". The file is damaged; fetch or save it again.");
}

std::optional<PytorchTensors::Rebuild> PytorchTensors::find_rebuild(PickleId id) const {
  const auto tensor = [](std::string_view name) { return name.starts_with("torch._utils._rebuild_tensor"); };
  for (int wrapped = 0; wrapped < 4 && pickle_[id].kind == Kind::call; ++wrapped) {
    const auto& call = pickle_[id];
    const std::string_view function = pickle_[call.items[0]].text;
    const auto& arguments = pickle_[call.items[1]].items;
    if (tensor(function)) return Rebuild{function, &arguments};
    if (arguments.empty()) return std::nullopt;
    if (function.starts_with("torch._utils._rebuild_parameter")) {
      id = arguments[0];
    } else if (function.starts_with("torch._tensor._rebuild_from_type")) {  // (function, type, arguments, state)
      if (arguments.size() != 4 || pickle_[arguments[0]].kind != Kind::global || pickle_[arguments[2]].kind != Kind::tuple) return std::nullopt;
      if (!tensor(pickle_[arguments[0]].text)) return std::nullopt;
      return Rebuild{pickle_[arguments[0]].text, &pickle_[arguments[2]].items};
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

std::int64_t PytorchTensors::extent(PickleId id, const std::string& name) const {
  const auto& value = pickle_[id];
  if (value.kind != Kind::integer) refuse(name, "has something else where a number belongs");
  if (value.integer < 0) refuse(name, "has a negative extent, stride or offset");
  return value.integer;
}

std::vector<std::int64_t> PytorchTensors::extents(PickleId id, const std::string& name) const {
  constexpr std::size_t max_rank = 64;
  const auto* value = &pickle_[id];
  if (value->kind == Kind::call && pickle_[value->items[0]].text == "torch.Size" && pickle_[value->items[1]].items.size() == 1)
    value = &pickle_[pickle_[value->items[1]].items[0]];
  if (value->kind != Kind::tuple && value->kind != Kind::list) refuse(name, "has something else where its extents belong");
  if (value->items.size() > max_rank) refuse(name, "has more than ", max_rank, " extents");
  std::vector<std::int64_t> numbers;
  for (const PickleId item : value->items) numbers.push_back(extent(item, name));
  return numbers;
}

PytorchTensors::Layout PytorchTensors::layout(const Rebuild& rebuild, const std::string& name) const {
  // v1: storage, offset, size, stride; v2: ..., requires_grad, hooks[, metadata]; v3: ..., requires_grad, hooks, dtype[, metadata]
  const auto& arguments = *rebuild.arguments;
  const bool v3 = rebuild.function.ends_with("_v3");
  const std::size_t metadata = v3 ? 7 : 6;
  if (arguments.size() < (v3 ? 7 : 4)) refuse(name, "is made with ", arguments.size(), " arguments, which are too few");
  if (pickle_[arguments[0]].kind != Kind::persistent) refuse(name, "has no storage");
  if (arguments.size() > metadata && pickle_[arguments[metadata]].kind != Kind::none && !pickle_[arguments[metadata]].items.empty())
    fail(ErrorCode::unsupported, file_, ": the tensor ", excerpt(name), " is negated or conjugated only in name. Save tensor.resolve_conj().resolve_neg().");
  const auto storage = storage_reference(pickle_, arguments[0], file_);
  Layout layout{storage, storage.element, extent(arguments[1], name), extents(arguments[2], name), extents(arguments[3], name)};
  if (v3) {
    layout.element = pickle_[arguments[6]].kind == Kind::global ? element_by(&PytorchElement::dtype, pickle_[arguments[6]].text) : nullptr;
    if (!layout.element) refuse(name, "has no known element type");
  }
  if (layout.shape.size() != layout.strides.size()) refuse(name, "has ", layout.shape.size(), " extents and ", layout.strides.size(), " strides");
  for (std::size_t d = 0; d < layout.shape.size(); ++d)
    if (layout.shape[d] == 1) layout.strides[d] = 0;  // it may be any number, and products with it may overflow
  if (!layout.element->copy)
    fail(ErrorCode::unsupported, file_, ": the tensor ", excerpt(name), " has the element type ", layout.element->dtype,
         ", which is not read. Save it as float32: tensor.float() or tensor.dequantize().");
  return layout;
}

/// The storage's bytes, of which every element of the layout has been checked to be a part.
std::span<const std::byte> PytorchTensors::elements(const Layout& layout, const std::string& name) const {
  auto bytes = source_.find(layout.storage);
  const auto whole = storage_bytes(layout.storage, static_cast<std::uint64_t>(layout.storage.numel));
  if (!whole || *whole > bytes.size()) refuse(name, "has a storage of ", bytes.size(), " bytes for ", layout.storage.numel, " elements");
  if (layout.storage.view_numel) {
    const std::size_t size = layout.storage.element->size;
    bytes = bytes.subspan(static_cast<std::size_t>(layout.storage.view_offset) * size, static_cast<std::size_t>(*layout.storage.view_numel) * size);
  }
  std::int64_t furthest = layout.offset;
  bool beyond = false;
  for (std::size_t d = 0; d < layout.shape.size(); ++d) {
    std::int64_t reach = 0;
    beyond = beyond || __builtin_mul_overflow(layout.shape[d] - 1, layout.strides[d], &reach) || __builtin_add_overflow(furthest, reach, &furthest);
  }
  if (beyond || static_cast<std::uint64_t>(furthest) >= bytes.size() / layout.element->size)
    refuse(name, "of shape ", Shape(layout.shape), " reaches beyond its storage, which has ", bytes.size(), " bytes");
  return bytes;
}

Tensor PytorchTensors::read(PickleId id, const std::string& name) {
  const auto rebuild = find_rebuild(id);
  if (!rebuild) refuse(name, "is none");
  const Layout layout = this->layout(*rebuild, name);
  const PytorchElement& element = *layout.element;
  const Shape shape(layout.shape);
  if (element.widened) widened_.insert(std::string(element.dtype.substr(sizeof "torch." - 1)) + " to " + std::string(name_of(element.target)));
  const auto bytes = byte_count(shape, DType::i64);  // the widest element, so that the sizes below cannot overflow
  if (!bytes) refuse(name, "has the shape ", shape, ", which is larger than any memory");
  if (*bytes == 0) return Tensor(shape, element.target);

  const std::byte* first = elements(layout, name).data() + static_cast<std::size_t>(layout.offset) * element.size;
  const bool contiguous = is_contiguous(layout.shape, layout.strides), as_stored = element.size == size_of(element.target) && !source_.big_endian;
  if (contiguous && as_stored && std::bit_cast<std::uintptr_t>(first) % element.size == 0) return Tensor::view(shape, element.target, first, source_.owner);
  return copy(layout, shape, first, contiguous && as_stored, name);
}

Tensor PytorchTensors::copy(const Layout& layout, const Shape& shape, const std::byte* first, bool plain, const std::string& name) {
  const auto bytes = static_cast<std::uint64_t>(shape.numel()) * size_of(layout.element->target);
  if (bytes > copy_budget_) refuse(name, "and those before it would take far more memory than the file has bytes");
  copy_budget_ -= bytes;
  const auto memory = uncleared(static_cast<std::size_t>(bytes));
  Tensor tensor = Tensor::view(shape, layout.element->target, memory.get(), memory);
  if (plain) {
    std::memcpy(tensor.raw(), first, tensor.bytes());
    return tensor;
  }
  constexpr std::int64_t one = 1;
  const bool scalar = layout.shape.empty();
  layout.element->copy({first, scalar ? std::span(&one, 1) : std::span(layout.shape), scalar ? std::span(&one, 1) : std::span(layout.strides), source_.big_endian},
                       tensor.raw());
  return tensor;
}

}  // namespace limpid
