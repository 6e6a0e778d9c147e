// limpid weights: which weights there are, what is in a file, and how to get and convert them.
#include "console.h"
#include "json.h"
#include "outputs.h"
#include "parse.h"
#include "subcommands.h"
#include "table.h"
#include "weights_download.h"

#include <limpid/nn/model.h>
#include <limpid/runtime/near_names.h>
#include <limpid/weights/architecture.h>
#include <limpid/weights/convert.h>
#include <limpid/weights/labels.h>

#include <algorithm>

using namespace limpid;

namespace {

struct WeightsOptions {
  std::string file, output, dtype, labels;
  bool json = false, quiet = false;
};

int list_weights(bool as_json) {
  Table table({"name", "size", "where", "description"});
  Json list = Json::array();
  for (const auto& m : bundled_models()) {
    list.push_back({{"name", m.name}, {"file", m.file}, {"bytes", m.bytes}, {"where", "bundled"}, {"description", m.description}});
    table.add({m.name, bytes_text(m.bytes), "bundled", m.description});
  }
  for (const auto& w : published_weights()) {
    const bool here = find_cached(w).has_value();
    Json entry = {{"name", w.name},   {"file", w.file},     {"bytes", w.bytes},   {"where", here ? "here" : "to fetch"}, {"description", description_of(w)},
                  {"url", url_of(w)}, {"sha256", w.sha256}, {"default", w.newest}};
    list.push_back(std::move(entry));
    table.add({w.name, bytes_text(w.bytes), here ? "here" : "to fetch", description_of(w) + (w.newest ? "; also called " + w.architecture : "")});
  }
  print(as_json ? text_of(list) : table.text());
  return 0;
}

/// The file of that path, or what is called so, fetched if need be.
ModelFile open_named(const WeightsOptions& o) {
  fetch_if_needed(o.file, o.quiet);
  const bool bundled = std::any_of(bundled_models().begin(), bundled_models().end(), [&](const auto& m) { return m.name == o.file; });
  const auto open = [&] { return open_model(o.file); };
  return bundled || find_published(o.file) ? open() : reading(open);
}

struct Amount {
  std::int64_t tensors = 0, elements = 0;
  std::size_t bytes = 0;
};

std::map<std::string, Amount> amounts_of(const ModelFile& file) {
  std::map<std::string, Amount> amounts;
  for (const auto& [name, t] : file.tensors)
    for (const auto& key : {std::string(name_of(t.dtype())), std::string("total")}) {
      Amount& a = amounts[key];
      ++a.tensors, a.elements += t.numel(), a.bytes += t.bytes();
    }
  return amounts;
}

/// A metadata entry on one line: the labels of 1000 classes do not fit there.
std::string shortened(const std::string& text) { return text.size() <= 100 ? text : text.substr(0, 80) + format("... (%zu characters)", text.size()); }

std::string text_of_preprocessing(const ModelFile& file) {
  const Preprocessing p = file.preprocessing.value_or(Preprocessing());
  return format("resize %d, crop %d, %s", p.resize, p.crop, p.interpolation.c_str()) + format(", mean %.4g %.4g %.4g", p.mean[0], p.mean[1], p.mean[2]) +
         format(", std %.4g %.4g %.4g", p.std[0], p.std[1], p.std[2]) + (file.preprocessing ? "" : " (assumed: the file does not say)");
}

bool is_known(const std::string& architecture) {
  const auto known = architectures();
  return std::find(known.begin(), known.end(), architecture) != known.end();
}

std::string inspection_text(const ModelFile& file, const Mismatch& mismatch) {
  Table head({"file", file.path.string()});
  head.add({"format", file.format});
  const std::string kind = explain_unknown_architecture(file.tensors);
  head.add({"architecture", !file.architecture.empty() ? file.architecture : kind.empty() ? "unknown" : "unknown: " + kind});
  if (is_known(file.architecture)) head.add({"fits", mismatch.empty() ? "yes" : "no"});
  for (const auto& name : mismatch.missing) head.add({"missing", name});
  for (const auto& name : mismatch.misshaped) head.add({"misshaped", name});
  for (const auto& name : mismatch.unexpected) head.add({"unexpected", name});
  head.add({"classes", std::to_string(file.labels.size())});
  head.add({"preprocessing", text_of_preprocessing(file)});
  for (const auto& note : file.notes) head.add({"note", note});
  for (const auto& [key, value] : file.metadata) head.add({"metadata " + key, shortened(value)});
  for (const auto& [dtype, a] : amounts_of(file))
    head.add({dtype, std::to_string(a.tensors) + " tensors, " + std::to_string(a.elements) + " elements, " + bytes_text(a.bytes)});
  Table tensors({"tensor", "dtype", "shape"});
  for (const auto& [name, t] : file.tensors) tensors.add({name, std::string(name_of(t.dtype())), t.shape().to_string()});
  return head.text() + "\n" + tensors.text();
}

Json inspection_json(const ModelFile& file, const Mismatch& mismatch) {
  Json totals = Json::object(), tensors = Json::array();
  for (const auto& [dtype, a] : amounts_of(file)) totals[dtype] = {{"tensors", a.tensors}, {"elements", a.elements}, {"bytes", a.bytes}};
  for (const auto& [name, t] : file.tensors) tensors.push_back({{"name", name}, {"dtype", name_of(t.dtype())}, {"shape", t.shape().dims()}});
  const Json fits = is_known(file.architecture) ? Json(mismatch.empty()) : Json(nullptr);
  return {{"file", file.path.string()},
          {"format", file.format},
          {"architecture", file.architecture},
          {"fits", fits},
          {"missing", mismatch.missing},
          {"misshaped", mismatch.misshaped},
          {"unexpected", mismatch.unexpected},
          {"classes", file.labels.size()},
          {"preprocessing", Json::parse(to_json(file.preprocessing.value_or(Preprocessing())))},
          {"notes", file.notes},
          {"metadata", file.metadata},
          {"totals", totals},
          {"tensors", tensors}};
}

int inspect(const WeightsOptions& o) {
  const ModelFile file = open_named(o);
  const Mismatch mismatch = is_known(file.architecture) ? compare(file, file.architecture) : Mismatch();
  print(o.json ? text_of(inspection_json(file, mismatch)) : inspection_text(file, mismatch));
  return 0;
}

int convert_file(const WeightsOptions& o) {
  ConvertOptions options;
  if (!o.dtype.empty()) {
    static const std::map<std::string, DType> dtypes = {{"f16", DType::f16}, {"bf16", DType::bf16}, {"f32", DType::f32}};
    const auto found = dtypes.find(o.dtype);
    require(found != dtypes.end(), "--dtype: '", o.dtype, "' is not f16, bf16 or f32.");
    options.dtype = found->second;
  }
  if (!o.labels.empty()) options.labels = reading([&] { return read_labels(o.labels); });
  require_writable(o.output);
  const ModelFile file = open_named(o);
  require(!same_file(file.path, o.output), "The output would overwrite the input; give it another name.");
  convert(file, o.output, options);
  if (!o.quiet) {
    for (const auto& note : file.notes) complain("note: " + note);
    if (!is_known(file.architecture)) complain("note: The architecture is unknown to limpid; the tensors are converted as they are.");
    else if (const Mismatch mismatch = compare(file, file.architecture); !mismatch.empty())
      complain("note: The tensors do not fit " + file.architecture + ": " + mismatch.to_string() + ".");
    if (!is_stdout(o.output)) print("wrote " + printable(o.output) + "\n");
  }
  return 0;
}

int fetch_named(const WeightsOptions& o) {
  const auto* weights = find_published(o.file);
  if (!weights) {
    std::vector<std::string> names;
    for (const auto& w : published_weights()) names.push_back(w.name);
    for (const auto& m : bundled_models())
      if (m.name == o.file) fail(ErrorCode::invalid_argument, o.file, " comes with limpid; there is nothing to fetch.");
    fail(ErrorCode::not_found, "There are no weights '", o.file, "' to fetch.", did_you_mean(o.file, names), " `limpid weights list` prints all.");
  }
  print(download_weights(*weights, o.quiet).string() + "\n");
  return 0;
}

}  // namespace

Subcommand add_weights(CLI::App& program) {
  const auto o = std::make_shared<WeightsOptions>();
  CLI::App* app = program.add_subcommand("weights", "List weights, look into a file, convert it, or download what others publish");
  app->require_subcommand(1);
  const auto add_file = [&](CLI::App* to, const char* name) {
    to->add_option(name, o->file, "A .safetensors, .pth or .pt file, or a name that `limpid weights list` prints")->required()->type_name("");
  };
  const auto add_quiet = [&](CLI::App* to) { to->add_flag("--quiet", o->quiet, "No progress bar, no notes"); };

  CLI::App* list = app->add_subcommand("list", "The weights that limpid knows by name; the first is the default");
  list->add_flag("--json", o->json, "Print a JSON list");

  CLI::App* look = app->add_subcommand("inspect", "A file's format, architecture, metadata and tensors, and whether they fit");
  add_file(look, "FILE");
  look->add_flag("--json", o->json, "Print a JSON object");
  add_quiet(look);

  CLI::App* make = app->add_subcommand("convert", "Write weights as a safetensors file that says what it is");
  add_file(make, "IN");
  make->add_option("OUT", o->output, "The .safetensors file to write")->required()->type_name("");
  make->add_option("--dtype", o->dtype, "f16, bf16 or f32 for all floats [as they are]")->type_name("NAME");
  make->add_option("--labels", o->labels, "The classes' names: one a line, or a JSON list [the file's]")->type_name("FILE");
  add_quiet(make);
  make->footer("Example: limpid weights convert finetuned.pt flowers.safetensors --labels flowers.txt");

  CLI::App* get = app->add_subcommand("fetch", "Download weights into the cache and print their path");
  get->add_option("NAME", o->file, "resnet50 (torchvision's newest), resnet50_v1, ...: `limpid weights list` prints all")->required()->type_name("");
  add_quiet(get);
  get->footer("The cache: $XDG_CACHE_HOME/limpid, or ~/.cache/limpid. Proxies: https_proxy. A mirror: LIMPID_WEIGHTS_URL=https://HOST/FOLDER");

  return {app, [o, list, look, make] {
            if (list->parsed()) return list_weights(o->json);
            if (look->parsed()) return inspect(*o);
            return make->parsed() ? convert_file(*o) : fetch_named(*o);
          }};
}
