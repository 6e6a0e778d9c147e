#include <limpid/runtime/error.h>
#include <limpid/weights/excerpt.h>
#include <limpid/weights/pytorch_state_dict.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

namespace limpid {
namespace {

using Kind = PickleValue::Kind;
using Entries = std::map<std::string_view, PickleId>;

constexpr std::string_view wrappers[] = {"state_dict", "model_state_dict", "model"};
constexpr std::string_view prefixes[] = {"module.", "_orig_mod.", "model."};
constexpr int max_depth = 4;
constexpr std::size_t max_tensors = 100'000;

class Finder {
 public:
  Finder(const Pickle& pickle, const PytorchTensors& tensors, const std::string& file) : pickle_(pickle), tensors_(tensors), file_(file) {}

  StateDict find() const {
    StateDict found;
    if (tensors_.is_tensor(pickle_.root)) {
      found.tensors.emplace("tensor", pickle_.root);
      found.notes.push_back("The file holds a single tensor without a name; it is called 'tensor'.");
      return found;
    }
    PickleId at = pickle_.root;
    for (int depth = max_depth; depth >= 0; --depth) {
      const Entries here = entries(at);
      const auto [key, inner] = wrapper(here, depth);
      if (key.empty()) {
        if (!has_tensors(here)) break;
        take(here, found);
        strip_prefixes(found);
        return found;
      }
      found.notes.push_back("The state dict is taken from " + excerpt(key) + ".");
      leave_out(here, key, found);
      at = inner;
    }
    fail(ErrorCode::bad_file, file_, ": the checkpoint holds no state dict, that is no dict of tensors. Save model.state_dict() with torch.save.");
  }

 private:
  /// The last value of each key that is text.
  Entries entries(PickleId id) const {
    Entries all;
    if (!is_dict(pickle_, id)) return all;
    const auto& value = pickle_[id];
    for (std::size_t i = value.kind == Kind::dict ? 0 : 2; i + 1 < value.items.size(); i += 2)
      if (pickle_[value.items[i]].kind == Kind::text) all.insert_or_assign(pickle_[value.items[i]].text, value.items[i + 1]);
    return all;
  }
  bool has_tensors(const Entries& all) const {
    return std::any_of(all.begin(), all.end(), [&](const auto& entry) { return tensors_.is_tensor(entry.second); });
  }
  /// Whether tensors lie directly in this dict or under the names of wrappers in it.
  bool leads_to_tensors(PickleId id, int depth) const {
    const auto [known, fresh] = leads_.try_emplace({id, depth}, false);  // many entries may share one dict, or hold themselves
    if (!fresh) return known->second;
    const Entries all = entries(id);
    return known->second = has_tensors(all) || (depth > 0 && std::any_of(std::begin(wrappers), std::end(wrappers), [&](std::string_view name) {
                                                 const auto found = all.find(name);
                                                 return found != all.end() && leads_to_tensors(found->second, depth - 1);
                                               }));
  }

  /// The entry of a dict in which the state dict lies; "" when it is the dict itself.
  std::pair<std::string_view, PickleId> wrapper(const Entries& here, int depth) const {
    for (const auto name : wrappers)
      if (const auto found = here.find(name); found != here.end() && leads_to_tensors(found->second, depth)) return *found;
    if (has_tensors(here)) return {};
    std::vector<std::string> names;
    std::pair<std::string_view, PickleId> one;
    for (const auto& entry : here) {
      if (!leads_to_tensors(entry.second, depth)) continue;
      one = entry;
      names.push_back(excerpt(entry.first));
    }
    if (names.size() > 1)
      fail(ErrorCode::unsupported, file_, ": the checkpoint holds several dicts of tensors (", list_names(names), "). Save the one that is meant with torch.save.");
    return one;
  }

  void leave_out(const Entries& here, std::string_view but, StateDict& found) const {
    std::vector<std::string> names;
    for (const auto& [name, id] : here)
      if (name != but) names.push_back(excerpt(name));
    if (!names.empty()) found.notes.push_back("Beside it, left out: " + list_names(names) + ".");
  }

  void take(const Entries& here, StateDict& found) const {
    std::vector<std::string> left;
    for (const auto& [name, id] : here) {
      if (!tensors_.is_tensor(id)) {
        left.push_back(excerpt(name));
        continue;
      }
      if (found.tensors.size() == max_tensors) fail(ErrorCode::bad_file, file_, ": the checkpoint holds more than ", max_tensors, " tensors.");
      found.tensors.emplace(name, id);
    }
    if (!left.empty()) found.notes.push_back("Left out, being no tensors: " + list_names(left) + ".");
  }

  /// torch.optim.swa_utils.AveragedModel counts beside the module that it wraps.
  static void strip_prefixes(StateDict& found) {
    for (int round = 0; round < max_depth; ++round) {
      for (const auto prefix : prefixes) {
        const auto begins = [&](const auto& entry) { return entry.first.size() > prefix.size() && entry.first.starts_with(prefix); };
        const bool counted = prefix == "module." && found.tensors.size() > 1 && found.tensors.contains("n_averaged");
        const auto matching = static_cast<std::size_t>(std::count_if(found.tensors.begin(), found.tensors.end(), begins));
        if (matching + counted != found.tensors.size()) continue;
        if (counted) {
          found.tensors.erase("n_averaged");
          found.notes.push_back("Left out: 'n_averaged', the count of averaged models.");
        }
        std::map<std::string, PickleId> stripped;
        for (const auto& [name, id] : found.tensors) stripped.emplace(name.substr(prefix.size()), id);
        found.tensors = std::move(stripped);
        found.notes.push_back("The prefix " + excerpt(prefix) + " is removed from all names.");
        break;
      }
    }
  }

  const Pickle& pickle_;
  const PytorchTensors& tensors_;
  const std::string& file_;
  mutable std::map<std::pair<PickleId, int>, bool> leads_;
};

}  // namespace

StateDict find_state_dict(const Pickle& pickle, const PytorchTensors& tensors, const std::string& file) { return Finder(pickle, tensors, file).find(); }

std::string list_names(const std::vector<std::string>& names) {
  constexpr std::size_t most = 5;
  std::string text;
  const std::size_t shown = names.size() > most + 1 ? most : names.size();
  for (std::size_t i = 0; i < shown; ++i) text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  if (shown < names.size()) text += " and " + std::to_string(names.size() - shown) + " more";
  return text;
}

}  // namespace limpid
