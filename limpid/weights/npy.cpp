#include <limpid/runtime/atomic_file.h>
#include <limpid/weights/byte_count.h>
#include <limpid/weights/excerpt.h>
#include <limpid/weights/mapped_file.h>
#include <limpid/weights/npy.h>

#include <bit>
#include <charconv>
#include <cstring>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace limpid {
namespace {

static_assert(std::endian::native == std::endian::little, "The .npy reader takes the file's bytes as they are.");

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t max_header = 65536, max_rank = 64;

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

/// Reads the header's Python dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  Header parse() {
    Header header;
    std::set<std::string> seen;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      if (!seen.insert(key).second) refuse("has a second key " + excerpt(key));
      expect(':');
      if (key == "descr") header.descr = string();
      else if (key == "fortran_order") header.fortran_order = boolean();
      else if (key == "shape") header.shape = tuple();
      else refuse("has the unknown key " + excerpt(key));
      if (!accept(',') && next() != '}') refuse("lacks a comma");
    }
    if (next() != '\0') refuse("goes on behind its end");
    if (seen.size() != 3) refuse("lacks one of 'descr', 'fortran_order' and 'shape'");
    return header;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    fail(ErrorCode::bad_file, file_, ": the .npy header ", what, " (near its byte ", position_, "). Write the file again with numpy.save.");
  }
  /// The next character that is not white space; NUL at the end.
  char next() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\n' || text_[position_] == '\t')) ++position_;
    if (position_ == text_.size()) return '\0';
    if (text_[position_] == '\0') refuse("has a NUL byte");
    return text_[position_];
  }
  bool accept(char wanted) {
    if (next() != wanted) return false;
    ++position_;
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) refuse(std::string("has no '") + wanted + "' where one belongs");
  }
  std::string string() {
    const char quote = next();
    if (quote != '\'' && quote != '"') refuse("has something else where a string belongs (only plain element types can be read)");
    const auto end = text_.find(quote, position_ + 1);
    if (end == std::string_view::npos) refuse("has a string without an end");
    const std::string value(text_.substr(position_ + 1, end - position_ - 1));
    position_ = end + 1;
    return value;
  }
  bool boolean() {
    next();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}}) {
      if (!text_.substr(position_).starts_with(word)) continue;
      position_ += word.size();
      return value;
    }
    refuse("has something else where True or False belongs");
  }
  std::int64_t extent() {
    next();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text_.data() + position_, text_.data() + text_.size(), value);
    if (error == std::errc::result_out_of_range) refuse("has an extent beyond 64 bits");
    if (error != std::errc()) refuse("has something else where an extent belongs");
    if (value < 0) refuse("has a negative extent");
    position_ = static_cast<std::size_t>(end - text_.data());
    return value;
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> values;
    expect('(');
    while (!accept(')')) {
      if (values.size() == max_rank) refuse("has more than " + std::to_string(max_rank) + " extents");
      values.push_back(extent());
      if (!accept(',') && next() != ')') refuse("lacks a comma");
    }
    return values;
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t position_ = 0;
};

constexpr std::pair<std::string_view, DType> element_types[] = {{"<f4", DType::f32}, {"<f8", DType::f64}, {"<f2", DType::f16},
                                                                {"<i8", DType::i64}, {"<i4", DType::i32}, {"|u1", DType::u8}};

DType element_type(const std::string& descr, const std::string& file) {
  for (const auto& [name, dtype] : element_types)
    if (descr == name) return dtype;
  if (descr.starts_with('>'))
    fail(ErrorCode::unsupported, file, ": the elements are big-endian (", excerpt(descr), "). Save it with numpy.save(path, array.astype('<f4')).");
  fail(ErrorCode::unsupported, file, ": elements of type ", excerpt(descr), " cannot be read. Save it with numpy.save(path, array.astype('<f4')).");
}

}  // namespace

Tensor read_npy(const std::filesystem::path& path) {
  return read_npy(MappedFile::open(path)->bytes(), path.string());
}

Tensor read_npy(std::span<const std::byte> bytes, const std::string& file) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(magic)) fail(ErrorCode::bad_file, file, " is not a .npy file. Write one with numpy.save.");
  if (text.size() < 12) fail(ErrorCode::bad_file, file, " ends within its header. Write it again with numpy.save.");
  const auto byte_at = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(text[i])); };
  const auto version = byte_at(6);
  if (version < 1 || version > 3) fail(ErrorCode::unsupported, file, ": the .npy format's version ", version, " is not known; 1, 2 and 3 are.");
  const std::size_t start = version == 1 ? 10 : 12;
  std::size_t length = byte_at(8) | byte_at(9) << 8;
  if (version > 1) length |= byte_at(10) << 16 | byte_at(11) << 24;
  if (length > max_header) fail(ErrorCode::bad_file, file, ": a .npy header of ", length, " bytes is longer than any that is meant well.");
  if (length > text.size() - start) fail(ErrorCode::bad_file, file, " ends within its header. Write it again with numpy.save.");

  const Header header = HeaderParser(text.substr(start, length), file).parse();
  const DType dtype = element_type(header.descr, file);
  const Shape shape(header.shape);
  if (header.fortran_order)
    fail(ErrorCode::unsupported, file, ": the array is in Fortran order. Save it with numpy.save(path, numpy.ascontiguousarray(array)).");
  const auto needed = byte_count(shape, dtype);
  if (!needed) fail(ErrorCode::bad_file, file, ": the shape ", shape, " is larger than any memory.");
  const auto data = bytes.subspan(start + length);
  if (data.size() != *needed)
    fail(ErrorCode::bad_file, file, ": the shape ", shape, " needs ", *needed, " bytes and the file has ", data.size(), ". Write it again with numpy.save.");

  Tensor tensor(shape, dtype);
  if (*needed) std::memcpy(tensor.raw(), data.data(), *needed);
  return tensor;
}

void write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  require(tensor.defined(), "write_npy: the tensor for ", path.string(), " has no data.");
  const Tensor plain = tensor.dtype() == DType::bf16 ? tensor.to(DType::f32) : tensor;
  std::string header = "{'descr': '";
  for (const auto& [name, dtype] : element_types)
    if (dtype == plain.dtype()) header += name;
  header += "', 'fortran_order': False, 'shape': (";
  for (int i = 0; i < plain.shape().rank(); ++i) header += std::string(i ? " " : "") + std::to_string(plain.shape()[i]) + ",";
  if (plain.shape().rank() > 1) header.pop_back();  // only a tuple of one keeps its comma
  header += "), }";
  header.append(63 - (10 + header.size()) % 64, ' ').push_back('\n');  // the data starts at a multiple of 64
  require(header.size() < 65536, "write_npy: ", plain.shape().rank(), " extents are more than the format holds.");

  AtomicFile file(path);
  file.write(magic);
  const char rest[] = {1, 0, static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  file.write(std::string_view(rest, sizeof rest));
  file.write(header);
  file.write(std::span(static_cast<const std::byte*>(plain.raw()), plain.bytes()));
  file.commit();
}

}  // namespace limpid
