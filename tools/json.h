#pragma once
// JSON as the program prints it.
#include <limpid/attribution/explainer.h>

#include <nlohmann/json.hpp>

#include <span>
#include <string>

using Json = nlohmann::ordered_json;

/// Indented, with a newline at the end; bytes that are not UTF-8 (in a file's name, say) are replaced.
inline std::string text_of(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

inline Json json_of(std::span<const limpid::Prediction> predictions) {
  Json list = Json::array();
  for (const auto& p : predictions) list.push_back({{"index", p.index}, {"label", p.label}, {"probability", p.probability}});
  return list;
}
