#include <limpid/runtime/error.h>
#include <limpid/weights/excerpt.h>
#include <limpid/weights/safetensors_header.h>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <set>
#include <utility>

namespace limpid {
namespace {

// More than any network has; they bound what a header of the allowed 100 MB can make us allocate.
constexpr std::size_t max_tensors = 100'000, max_metadata = 100'000, max_rank = 64;

/// Takes the header's JSON event by event and accepts only what the format allows, so that nothing can nest deeper than three levels.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::string& file) : file_(file) {}
  SafetensorsHeader take() { return std::move(header_); }
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... what) const {
    fail(ErrorCode::bad_file, file_, ": the safetensors header ", what..., ". The file is damaged or not a safetensors file; fetch or convert it again.");
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::start) place_ = Place::root;
    else if (place_ == Place::metadata_value) place_ = Place::metadata;
    else if (place_ == Place::tensor_value) place_ = Place::tensor;
    else refuse_value("an object");
    return true;
  }
  bool key(string_t& name) override {
    switch (place_) {
      case Place::root: begin_entry(name); break;
      case Place::metadata:
        if (header_.metadata.contains(name)) refuse("has the metadata key ", excerpt(name), " twice");
        if (header_.metadata.size() == max_metadata) refuse("has more than ", max_metadata, " metadata entries");
        key_ = name;
        place_ = Place::metadata_text;
        break;
      default: begin_field(name);
    }
    return true;
  }
  bool end_object() override {
    if (place_ == Place::tensor) {
      const SafetensorsEntry& entry = header_.entries.back();
      const char* missing = !entry.has_dtype ? "dtype" : !entry.has_shape ? "shape" : !entry.has_offsets ? "data_offsets" : nullptr;
      if (missing) refuse("does not give the tensor ", excerpt(entry.name), " a ", missing);
    }
    place_ = place_ == Place::root ? Place::end : Place::root;
    return true;
  }
  bool string(string_t& text) override {
    if (place_ == Place::metadata_text) {
      header_.metadata.emplace(std::move(key_), std::move(text));
      place_ = Place::metadata;
    } else if (place_ == Place::dtype) {
      header_.entries.back().dtype = text;
      place_ = Place::tensor;
    } else {
      refuse_value("a string");
    }
    return true;
  }
  bool start_array(std::size_t) override {
    if (place_ == Place::shape) place_ = Place::extents;
    else if (place_ == Place::offsets) place_ = Place::bounds;
    else refuse_value("a list");
    return true;
  }
  bool number_unsigned(number_unsigned_t number) override {
    if (place_ != Place::extents && place_ != Place::bounds) refuse_value("a number");
    auto& list = place_ == Place::extents ? header_.entries.back().shape : header_.entries.back().offsets;
    const auto [most, what] = place_ == Place::extents ? std::pair(max_rank, " extents") : std::pair(std::size_t{2}, " offsets");
    if (list.size() == most) refuse("gives the tensor ", excerpt(header_.entries.back().name), " more than ", most, what);
    list.push_back(number);
    return true;
  }
  bool end_array() override {
    const SafetensorsEntry& entry = header_.entries.back();
    if (place_ == Place::bounds && entry.offsets.size() != 2) refuse("does not give the tensor ", excerpt(entry.name), " two offsets");
    place_ = Place::tensor;
    return true;
  }
  bool number_integer(number_integer_t) override { return refuse_value("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return refuse_value("a fractional or oversized number"); }
  bool null() override { return refuse_value("null"); }
  bool boolean(bool) override { return refuse_value("true or false"); }
  bool binary(binary_t&) override { return refuse_value("binary data"); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    refuse("is not valid JSON near its byte ", position);
  }

 private:
  enum class Place { start, root, metadata_value, metadata, metadata_text, tensor_value, tensor, dtype, shape, extents, offsets, bounds, end };

  [[noreturn]] bool refuse_value(const char* what) const {
    const bool in_tensor = place_ >= Place::tensor_value && place_ != Place::end && !header_.entries.empty();
    if (place_ == Place::metadata_text) refuse("has ", what, " as the metadata ", excerpt(key_), " where only strings may be");
    if (in_tensor) refuse("has ", what, " where the tensor ", excerpt(header_.entries.back().name), " may not have one");
    refuse("has ", what, " where it may not have one");
  }
  void begin_entry(const std::string& name) {
    if (!names_.insert(name).second) refuse("has the name ", excerpt(name), " twice");
    if (name == "__metadata__") {
      place_ = Place::metadata_value;
      return;
    }
    if (header_.entries.size() == max_tensors) refuse("names more than ", max_tensors, " tensors");
    header_.entries.emplace_back().name = name;
    place_ = Place::tensor_value;
  }
  void begin_field(const std::string& field) {
    SafetensorsEntry& entry = header_.entries.back();
    bool* seen = field == "dtype" ? &entry.has_dtype : field == "shape" ? &entry.has_shape : field == "data_offsets" ? &entry.has_offsets : nullptr;
    if (!seen) refuse("gives the tensor ", excerpt(entry.name), " the unknown property ", excerpt(field));
    if (std::exchange(*seen, true)) refuse("gives the tensor ", excerpt(entry.name), " two of ", excerpt(field));
    place_ = field == "dtype" ? Place::dtype : field == "shape" ? Place::shape : Place::offsets;
  }

  const std::string& file_;
  SafetensorsHeader header_;
  std::set<std::string> names_;
  std::string key_;
  Place place_ = Place::start;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& file) {
  HeaderReader reader(file);
  // The parser takes a NUL byte for the end of the text, and skips a byte-order mark.
  const auto nul = text.find('\0');
  if (nul != std::string_view::npos || !text.starts_with('{')) reader.refuse("is not a JSON object");
  nlohmann::json::sax_parse(text, &reader);
  return reader.take();
}

}  // namespace limpid
