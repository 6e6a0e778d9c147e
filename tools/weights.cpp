// limpid weights: the bundled models, and what is in a weights file.
#include "console.h"
#include "json.h"
#include "subcommands.h"
#include "table.h"

#include <limpid/weights/models.h>

using namespace limpid;

namespace {

int list_models(bool as_json) {
  Table table({"name", "size", "description"});
  Json list = Json::array();
  for (const auto& m : bundled_models()) {
    list.push_back({{"name", m.name}, {"file", m.file}, {"bytes", m.bytes}, {"description", m.description}});
    table.add({m.name, bytes_text(m.bytes), m.description});
  }
  print(as_json ? text_of(list) : table.text());
  return 0;
}

struct Amount {
  std::int64_t tensors = 0, elements = 0;
  std::size_t bytes = 0;
};

/// A metadata entry on one line: the labels of 1000 classes do not fit there.
std::string shortened(const std::string& text) { return text.size() <= 100 ? text : text.substr(0, 80) + format("... (%zu characters)", text.size()); }

std::string inspection_text(const ModelFile& file, const std::map<std::string, Amount>& amounts) {
  Table head({"file", file.path.string()});
  head.add({"architecture", file.architecture.empty() ? "unknown" : file.architecture});
  head.add({"classes", std::to_string(file.labels.size())});
  for (const auto& [key, value] : file.metadata) head.add({"metadata " + key, shortened(value)});
  for (const auto& [dtype, a] : amounts)
    head.add({dtype, std::to_string(a.tensors) + " tensors, " + std::to_string(a.elements) + " elements, " + bytes_text(a.bytes)});
  Table tensors({"tensor", "dtype", "shape"});
  for (const auto& [name, t] : file.tensors) tensors.add({name, std::string(name_of(t.dtype())), t.shape().to_string()});
  return head.text() + "\n" + tensors.text();
}

Json inspection_json(const ModelFile& file, const std::map<std::string, Amount>& amounts) {
  Json totals = Json::object(), tensors = Json::array();
  for (const auto& [dtype, a] : amounts) totals[dtype] = {{"tensors", a.tensors}, {"elements", a.elements}, {"bytes", a.bytes}};
  for (const auto& [name, t] : file.tensors) tensors.push_back({{"name", name}, {"dtype", name_of(t.dtype())}, {"shape", t.shape().dims()}});
  return {{"file", file.path.string()}, {"architecture", file.architecture}, {"classes", file.labels.size()}, {"metadata", file.metadata}, {"totals", totals},
          {"tensors", tensors}};
}

int inspect(const std::string& path, bool as_json) {
  const bool bundled = std::any_of(bundled_models().begin(), bundled_models().end(), [&](const auto& m) { return m.name == path; });
  const auto open = [&] { return open_model(path); };
  const ModelFile file = bundled ? open() : reading(open);
  std::map<std::string, Amount> amounts;
  for (const auto& [name, t] : file.tensors) {
    Amount& a = amounts[std::string(name_of(t.dtype()))];
    ++a.tensors, a.elements += t.numel(), a.bytes += t.bytes();
  }
  print(as_json ? text_of(inspection_json(file, amounts)) : inspection_text(file, amounts));
  return 0;
}

}  // namespace

Subcommand add_weights(CLI::App& program) {
  struct Options {
    std::string file;
    bool json = false;
  };
  const auto o = std::make_shared<Options>();
  CLI::App* app = program.add_subcommand("weights", "List the bundled models, or look into a weights file");
  app->require_subcommand(1);

  CLI::App* list = app->add_subcommand("list", "The models that come with limpid; the first is the default");
  list->add_flag("--json", o->json, "Print a JSON list");

  CLI::App* look = app->add_subcommand("inspect", "A file's architecture, metadata and tensors");
  look->add_option("FILE", o->file, "A .safetensors file, or a bundled model's name")->required()->type_name("");
  look->add_flag("--json", o->json, "Print a JSON object");
  return {app, [o, list] { return list->parsed() ? list_models(o->json) : inspect(o->file, o->json); }};
}
