#include <limpid/runtime/atomic_file.h>
#include <limpid/weights/byte_count.h>
#include <limpid/weights/excerpt.h>
#include <limpid/weights/mapped_file.h>
#include <limpid/weights/safetensors.h>
#include <limpid/weights/safetensors_header.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace limpid {
namespace {

static_assert(std::endian::native == std::endian::little, "The safetensors reader takes the file's bytes as they are.");

constexpr std::uint64_t max_header = 100'000'000;  // the format's own limit

constexpr std::pair<std::string_view, DType> element_types[] = {{"F32", DType::f32}, {"F16", DType::f16}, {"BF16", DType::bf16}, {"F64", DType::f64},
                                                                {"I64", DType::i64}, {"I32", DType::i32}, {"U8", DType::u8}};

/// A tensor whose description has been checked; its bytes lie at [begin, end) behind the header.
struct Placed {
  std::string name;
  Shape shape;
  DType dtype;
  std::uint64_t begin, end;
};

DType element_type(const SafetensorsEntry& entry, const std::string& file) {
  for (const auto& [name, dtype] : element_types)
    if (entry.dtype == name) return dtype;
  fail(ErrorCode::unsupported, file, ": the tensor ", excerpt(entry.name), " has the element type ", excerpt(entry.dtype),
       ", which is not read. Convert it to one of F32, F16, BF16, F64, I64, I32, U8.");
}

Placed check(const SafetensorsEntry& entry, std::uint64_t available, const std::string& file) {
  const auto refuse = [&](const auto&... what) {
    fail(ErrorCode::bad_file, file, ": the tensor ", excerpt(entry.name), " ", what..., ". The file is damaged; fetch or convert it again.");
  };
  const DType dtype = element_type(entry, file);
  std::vector<std::int64_t> extents;
  for (const auto extent : entry.shape) {
    if (extent > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) refuse("has an extent of ", extent);
    extents.push_back(static_cast<std::int64_t>(extent));
  }
  const Shape shape(std::move(extents));
  const auto bytes = byte_count(shape, dtype);
  if (!bytes) refuse("has the shape ", shape, ", which is larger than any memory");
  const auto begin = entry.offsets[0], end = entry.offsets[1];
  if (begin > end) refuse("ends before it begins (data_offsets ", begin, ", ", end, ")");
  if (end > available) refuse("reaches to byte ", end, " of the data, which has ", available);
  if (end - begin != *bytes) refuse("has ", end - begin, " bytes where its shape ", shape, " and type ", entry.dtype, " need ", *bytes);
  return {entry.name, shape, dtype, begin, end};
}

/// The format demands that the tensors fill the data without a hole or an overlap.
void check_cover(std::vector<Placed>& placed, std::uint64_t available, const std::string& file) {
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  std::uint64_t covered = 0;
  for (const auto& p : placed) {
    const char* flaw = p.begin < covered ? "overlaps the one before it" : "leaves a hole before it";
    if (p.begin != covered)
      fail(ErrorCode::bad_file, file, ": the tensor ", excerpt(p.name), " ", flaw, " (it begins at byte ", p.begin, " of the data, not ", covered,
           "). The file is damaged; fetch or convert it again.");
    covered = p.end;
  }
  if (covered != available)
    fail(ErrorCode::bad_file, file, ": the tensors take ", covered, " bytes and the file has ", available,
         " behind its header. The file is damaged; fetch or convert it again.");
}

Tensor view_or_copy(const Placed& p, const std::byte* data, const std::shared_ptr<const void>& owner) {
  if (std::bit_cast<std::uintptr_t>(data) % size_of(p.dtype) == 0) return Tensor::view(p.shape, p.dtype, data, owner);
  Tensor copy(p.shape, p.dtype);
  std::memcpy(copy.raw(), data, copy.bytes());
  return copy;
}

std::string header_text(const std::vector<std::pair<std::string, const Tensor*>>& order, const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) text += "\"__metadata__\":" + nlohmann::json(metadata).dump() + ",";
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : order) {
    const DType dtype = tensor->dtype();  // clang 14 captures no structured bindings
    const auto* type = std::find_if(std::begin(element_types), std::end(element_types), [&](const auto& t) { return t.second == dtype; });
    const nlohmann::json entry = {{"dtype", type->first}, {"shape", tensor->shape().dims()}, {"data_offsets", {offset, offset + tensor->bytes()}}};
    text += nlohmann::json(name).dump() + ":" + entry.dump() + ",";
    offset += tensor->bytes();
  }
  if (text.back() == ',') text.pop_back();
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  const auto mapped = MappedFile::open(path);
  return read_safetensors(mapped->bytes(), mapped, path.string());
}

SafetensorsFile read_safetensors(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& file) {
  std::uint64_t length = 0;
  if (bytes.size() < sizeof length) fail(ErrorCode::bad_file, file, " has only ", bytes.size(), " bytes, which is too short for a safetensors file.");
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > bytes.size() - sizeof length)
    fail(ErrorCode::bad_file, file, " is cut short or not a safetensors file: its header would be ", length, " bytes long and the file has ", bytes.size(),
         ".");
  if (length > max_header) fail(ErrorCode::bad_file, file, ": a header of ", length, " bytes is more than the format allows (", max_header, ").");

  auto header = parse_safetensors_header({reinterpret_cast<const char*>(bytes.data()) + sizeof length, static_cast<std::size_t>(length)}, file);
  const auto data = bytes.subspan(sizeof length + static_cast<std::size_t>(length));
  std::vector<Placed> placed;
  for (const auto& entry : header.entries) placed.push_back(check(entry, data.size(), file));
  check_cover(placed, data.size(), file);

  SafetensorsFile result;
  result.metadata = std::move(header.metadata);
  for (const auto& p : placed) result.tensors.emplace(p.name, view_or_copy(p, data.data() + p.begin, owner));
  return result;
}

void write_safetensors(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors, const std::map<std::string, std::string>& metadata) {
  std::vector<std::pair<std::string, const Tensor*>> order;
  for (const auto& [name, tensor] : tensors) {
    require(name != "__metadata__", "write_safetensors: ", path.string(), ": no tensor may be called __metadata__.");
    require(tensor.defined(), "write_safetensors: ", path.string(), ": the tensor ", excerpt(name), " has no data.");
    order.emplace_back(name, &tensor);
  }
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return size_of(a.second->dtype()) > size_of(b.second->dtype()); });
  std::string header;
  try {
    header = header_text(order, metadata);
  } catch (const nlohmann::json::exception&) {
    fail(ErrorCode::invalid_argument, "write_safetensors: ", path.string(), ": a tensor's name or the metadata is not UTF-8.");
  }
  require(header.size() <= max_header, "write_safetensors: ", path.string(), ": the header has ", header.size(), " bytes; the format allows ", max_header, ".");

  AtomicFile out(path);
  const std::uint64_t length = header.size();
  out.write(std::as_bytes(std::span(&length, 1)));
  out.write(header);
  for (const auto& [name, tensor] : order) out.write(std::span(static_cast<const std::byte*>(tensor->raw()), tensor->bytes()));
  out.commit();
}

}  // namespace limpid
