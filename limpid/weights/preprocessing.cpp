#include <limpid/runtime/error.h>
#include <limpid/weights/excerpt.h>
#include <limpid/weights/preprocessing.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <set>

namespace limpid {
namespace {

using nlohmann::json;

class Reader {
 public:
  explicit Reader(std::string_view where) : where_(where) {}

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... what) const {
    fail(ErrorCode::bad_file, where_, ": the preprocessing ", what..., ". Correct the file's metadata.");
  }
  json parse(std::string_view text) const {
    std::set<std::string> seen;
    const auto guard = [&](int depth, json::parse_event_t event, json& value) {
      if (depth > 2) refuse("nests too deep");
      if (event == json::parse_event_t::key && !seen.insert(value.get<std::string>()).second) refuse("has ", excerpt(value.get<std::string>()), " twice");
      return true;
    };
    const json parsed = json::parse(text, guard, false);
    if (!parsed.is_object()) refuse("is not a JSON object");
    return parsed;
  }
  int side(const json& value, const std::string& key) const {
    // An unsigned number, however large, is compared as it is: no conversion before the check.
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() < 1 || value.get<std::uint64_t>() > 8192)
      refuse("needs a whole number from 1 to 8192 as ", excerpt(key));
    return value.get<int>();
  }
  std::array<float, 3> channels(const json& value, const std::string& key, double least, double most) const {
    std::array<float, 3> numbers{};
    const auto good = [&](const json& v) { return v.is_number() && v.get<double>() >= least && v.get<double>() <= most; };
    if (!value.is_array() || value.size() != 3 || !std::all_of(value.begin(), value.end(), good))
      refuse("needs three numbers from ", least, " to ", most, " as ", excerpt(key), " (pictures are scaled to 0..1 first)");
    for (std::size_t i = 0; i < 3; ++i) numbers[i] = value[i].get<float>();
    return numbers;
  }

 private:
  std::string_view where_;
};

}  // namespace

Preprocessing preprocessing_from_json(std::string_view text, std::string_view where) {
  const Reader reader(where);
  Preprocessing p;
  const json object = reader.parse(text);
  for (const auto& [key, value] : object.items()) {
    if (key == "resize") p.resize = reader.side(value, key);
    else if (key == "crop") p.crop = reader.side(value, key);
    else if (key == "mean") p.mean = reader.channels(value, key, 0, 1);
    else if (key == "std") p.std = reader.channels(value, key, 1e-4, 10);
    else if (key == "antialias" && value.is_boolean()) p.antialias = value.get<bool>();
    else if (key == "interpolation" && (value == "bilinear" || value == "bicubic" || value == "nearest")) p.interpolation = value.get<std::string>();
    else if (key == "antialias") reader.refuse("needs true or false as 'antialias'");
    else if (key == "interpolation") reader.refuse("needs 'bilinear', 'bicubic' or 'nearest' as 'interpolation'");
    else reader.refuse("has the unknown key ", excerpt(key));
  }
  if (p.crop > p.resize) reader.refuse("crops ", p.crop, " pixels out of a picture resized to ", p.resize);
  return p;
}

std::string to_json(const Preprocessing& p) {
  // The shortest decimal that reads back as the same float: 0.485, not the 0.48500001430511475 of the float as a double.
  const auto numbers = [](const std::array<float, 3>& channels) {
    json list = json::array();
    for (const float value : channels) {
      std::array<char, 32> text{};
      const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
      double decimal = 0;
      std::from_chars(text.data(), end, decimal);
      list.push_back(decimal);
    }
    return list;
  };
  const nlohmann::ordered_json object = {{"resize", p.resize},       {"crop", p.crop},          {"interpolation", p.interpolation},
                                         {"antialias", p.antialias}, {"mean", numbers(p.mean)}, {"std", numbers(p.std)}};
  return object.dump();
}

}  // namespace limpid
