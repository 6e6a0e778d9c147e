// limpid explain: what a network sees in pictures, and why, as a panel of views per picture.
#include "console.h"
#include "interrupt.h"
#include "json.h"
#include "methods.h"
#include "outputs.h"
#include "parse.h"
#include "progress.h"
#include "subcommands.h"
#include "table.h"
#include "views.h"

#include <limpid/nn/preprocess.h>

#include <algorithm>

using namespace limpid;
namespace fs = std::filesystem;

namespace {

struct ExplainOptions {
  CommonOptions common;
  std::vector<std::string> images;
  std::string methods = "integrated_gradients,occlusion,gradcam", target = "auto", output = ".";
  std::string layer, window = "15x15", stride, grid = "14x14", sign, colors = "dark";
  int steps = 50;
  double outlier_percent = 2;
  bool json = false;
  std::vector<CLI::Option*> for_some_methods;
};

constexpr int view_size = 336;  // 224 pixels shown at half as much again: small enough for a page, large enough to see into

/// Whether `--output` names one file: a .png, or a device or pipe.
bool names_file(const fs::path& path) {
  const auto status = fs::status(path);
  if (fs::is_directory(status)) return false;
  return path.extension() == ".png" || path.extension() == ".PNG" || (fs::exists(status) && !fs::is_regular_file(status));
}

/// Where each picture's panel goes. Refuses to write two to one file, or over a picture.
std::vector<fs::path> panel_paths(const ExplainOptions& o) {
  const bool file = names_file(o.output);
  require(!file || o.images.size() == 1, "--output ", o.output, " is one file for ", o.images.size(), " pictures; name a folder.");
  if (!file && !fs::is_directory(o.output)) fail(ErrorCode::io, "--output ", o.output, " is neither a folder nor a .png file. Create the folder first.");
  std::vector<fs::path> paths;
  for (const auto& image : o.images) {
    const std::string name = fs::path(image).stem().string() + ".limpid.png";
    paths.push_back(file ? fs::path(o.output) : o.output == "." ? fs::path(name) : fs::path(o.output) / name);
    for (std::size_t i = 0; i + 1 < paths.size(); ++i)
      require(!same_file(paths[i], paths.back()), o.images[i], " and ", image, " would both be explained in ", paths.back().string(),
              "; explain them in two calls with --output.");
    for (const auto& other : o.images) require(!same_file(paths.back(), other), "--output would overwrite the picture ", other, "; name another file.");
  }
  for (const auto& path : paths) require_writable(path);
  return paths;
}

MethodOptions method_options(const ExplainOptions& o) {
  MethodOptions m;
  m.layer = o.layer;
  m.steps = o.steps;
  m.window = extents_in("--window", o.window);
  m.stride = o.stride.empty() ? half_overlapping(m.window) : extents_in("--stride", o.stride);
  m.grid = extents_in("--grid", o.grid);
  return m;
}

std::string extents_text(const std::array<std::int64_t, 2>& e) { return std::to_string(e[0]) + (e[0] == e[1] ? "" : "×" + std::to_string(e[1])); }

/// What the view's reader wants to know of how it was made.
std::string subtitle_of(const std::string& method, const MethodOptions& o, const Model& model) {
  if (method == "integrated_gradients") return std::to_string(o.steps) + " steps from grey";
  if (method == "occlusion") return "window " + extents_text(o.window) + ", stride " + extents_text(o.stride);
  if (method == "feature_ablation") return std::to_string(o.grid[0]) + "×" + std::to_string(o.grid[1]) + " rectangles";
  if (method == "gradcam" || method == "guided_gradcam") return "at " + (o.layer.empty() ? model.default_layer() : o.layer);
  return "";
}

std::string percent(double probability) { return format("%.1f %%", 100 * probability); }

/// A label up to its first comma: "tabby, tabby cat" -> "tabby".
std::string short_label(const std::string& label) { return printable(label.substr(0, label.find(','))); }

struct Explanation {
  std::vector<Prediction> predictions;  // all classes, best first
  std::vector<Prediction> targets;
  struct Part {  // one a method
    std::string method;
    std::vector<Attribution> attributions;  // one a target
    std::vector<bool> all_zero;
  };
  std::vector<Part> parts;
  fs::path path;
};

/// The classes that --target names: one, or several between commas (a label may hold commas of its own). Empty for auto.
std::vector<std::int64_t> targets_in(const Model& model, const std::string& text) {
  if (text == "auto") return {};
  try {
    return {model.class_index(text)};
  } catch (const Error& e) {
    if (e.code() != ErrorCode::not_found || text.find(',') == text.npos) throw;
  }
  std::vector<std::int64_t> targets;
  for (const auto& part : comma_separated("--target", text)) {
    targets.push_back(model.class_index(part));
    require(std::count(targets.begin(), targets.end(), targets.back()) == 1, "--target names the class ", targets.back(), " (", short_label(model.labels()[static_cast<std::size_t>(targets.back())]), ") twice.");
  }
  return targets;
}

/// One view of the picture, and one of each method's answer: a row a target.
std::vector<PanelView> views_of(Explanation& e, const ExplainOptions& o, const MethodOptions& options, const Model& model, const Image& picture) {
  std::vector<PanelView> views;
  const std::string network = model.architecture() + (model.weights() == model.architecture() ? "" : ", " + model.weights());
  const ViewOptions look{o.sign.empty() ? std::nullopt : std::optional(sign_named(o.sign)), o.outlier_percent, o.colors == "captum"};
  for (std::size_t t = 0; t < e.targets.size(); ++t) {
    if (e.targets.size() == 1) views.push_back({"What the network sees", network, picture});
    else views.push_back({"Why " + short_label(e.targets[t].label), percent(e.targets[t].probability) + " by " + network, picture});
    for (auto& part : e.parts) {
      MethodView shown = view_of(part.method, part.attributions[t], picture, subtitle_of(part.method, options, model), look);
      views.push_back(std::move(shown.view));
      part.all_zero.push_back(shown.all_zero);
    }
  }
  return views;
}

Explanation explain_picture(const Explainer& explainer, const ExplainOptions& o, const std::vector<std::string>& methods, const std::string& image,
                            const fs::path& path) {
  const Model& model = explainer.model();
  const Image whole = reading([&] { return read_image(image); });
  const Image picture = cropped(whole, model.preprocessing());
  const Tensor input = preprocess(whole, model.preprocessing());
  const std::string name = fs::path(image).filename().string();

  Explanation e;
  e.path = path;
  e.predictions = explainer.classify(input, static_cast<int>(model.classes()), {{}, &cancel_token()}).front();
  const Prediction& best = e.predictions.front();
  MethodOptions options = method_options(o);
  options.targets.clear();
  auto classes = targets_in(model, o.target);
  if (classes.empty()) classes = {best.index};
  for (const std::int64_t target : classes) {
    options.targets.emplace_back(target);
    e.targets.push_back(*std::find_if(e.predictions.begin(), e.predictions.end(), [&](const Prediction& p) { return p.index == target; }));
  }
  for (const auto& method : methods) {
    Progress progress(name + ": " + method, o.common.quiet);
    e.parts.push_back({method, attribute(explainer, method, input, options, progress.run_options()), {}});
  }
  const auto views = views_of(e, o, options, model, picture);
  stop_if_cancelled();
  std::string why;
  if (e.targets.size() == 1 && e.targets.front().index != best.index) why = "; explaining " + short_label(e.targets.front().label) + ", " + percent(e.targets.front().probability);
  write_png(path, draw_panel(name + ": " + short_label(best.label) + ", " + percent(best.probability) + why, views,
                             {.columns = static_cast<int>(methods.size()) + 1, .scale = 1.5, .view_size = view_size}));
  return e;
}

std::string text_of(const Explanation& e) {
  std::string text = "  predictions  ";
  for (std::size_t i = 0; i < e.predictions.size() && i < 3; ++i)
    text += (i ? ", " : "") + short_label(e.predictions[i].label) + " " + percent(e.predictions[i].probability);
  text += '\n';
  for (const Prediction& t : e.targets) text += "  target       " + std::to_string(t.index) + " (" + short_label(t.label) + "), " + percent(t.probability) + "\n";
  for (const auto& part : e.parts)
    for (std::size_t t = 0; t < e.targets.size(); ++t) {
      const Attribution& a = part.attributions[t];
      text += "  " + (t == 0 ? padded(part.method, 22) + format("%.2f s", a.compile_seconds + a.run_seconds) : padded("", 22));
      if (e.targets.size() > 1) text += "  " + short_label(e.targets[t].label);
      if (!a.convergence_delta.empty()) text += format("  convergence delta %.3g", a.convergence_delta.front());
      text += part.all_zero[t] ? "  zero everywhere: nothing of that sign to show\n" : "\n";
    }
  return text + "  wrote " + printable(e.path.string()) + "\n";
}

/// "target" and "methods" describe the first target; with several, "targets" lists them all, each with its methods.
Json json_of(const std::string& image, const Explanation& e, const Model& model) {
  Json targets = Json::array();
  for (std::size_t t = 0; t < e.targets.size(); ++t) {
    Json parts = Json::array();
    for (const auto& part : e.parts) {
      const Attribution& a = part.attributions[t];
      parts.push_back({{"method", part.method},
                       {"delta", a.convergence_delta},
                       {"seconds", {{"compile", a.compile_seconds}, {"run", a.run_seconds}}},
                       {"peak_bytes", a.peak_bytes},
                       {"all_zero", static_cast<bool>(part.all_zero[t])}});
    }
    targets.push_back({{"target", ::json_of(std::span(&e.targets[t], 1)).front()}, {"methods", parts}});
  }
  const std::span<const Prediction> top(e.predictions.data(), std::min<std::size_t>(5, e.predictions.size()));
  Json json = {{"image", image},
               {"model", model.architecture()},
               {"weights", model.weights()},
               {"predictions", ::json_of(top)},
               {"target", targets.front().at("target")},
               {"methods", targets.front().at("methods")},
               {"output", e.path.string()}};
  if (e.targets.size() > 1) json["targets"] = targets;
  return json;
}

int explain(const ExplainOptions& o) {
  const auto methods = comma_separated("--methods", o.methods);
  for (const auto& method : methods) require_method(method);
  for (const CLI::Option* option : o.for_some_methods)
    if (option->count() > 0) require_option_known("--" + option->get_lnames().front(), methods);
  if (!o.sign.empty()) sign_named(o.sign);
  require(o.colors == "dark" || o.colors == "captum", "There are no colours '", o.colors, "'; use dark or captum.");
  require(o.outlier_percent >= 0 && o.outlier_percent < 100, "--outlier-percent: ", o.outlier_percent, " is not possible; give 0 or more, less than 100.");
  method_options(o);
  const CompileOptions compile = compile_options(o.common);
  const auto paths = panel_paths(o);
  const Explainer explainer(load_model(o.common), compile);
  targets_in(explainer.model(), o.target);  // a wrong one is told before any picture is read

  Json list = Json::array();
  for (std::size_t i = 0; i < o.images.size(); ++i) {
    const Explanation e = explain_picture(explainer, o, methods, o.images[i], paths[i]);
    if (o.json) list.push_back(json_of(o.images[i], e, explainer.model()));
    else if (!o.common.quiet) print((i ? "\n" : "") + printable(o.images[i]) + "\n" + text_of(e));
  }
  if (o.json) print(::text_of(list));
  return 0;
}

}  // namespace

Subcommand add_explain(CLI::App& program) {
  const auto o = std::make_shared<ExplainOptions>();
  CLI::App* app = program.add_subcommand("explain", "Show why: a labelled panel of views per picture, and a summary");
  app->add_option("IMAGE", o->images, "JPEG, PNG or BMP files")->required()->type_name("");
  app->add_option("--methods", o->methods, "Which views, in this order: of those below")->type_name("NAME,...")->capture_default_str();
  app->add_option("--target", o->target, "What is explained: auto (the most probable class), an index or a label; several, between commas, give a row each")
      ->type_name("CLASS,...")
      ->capture_default_str();
  app->add_option("--output", o->output, "A folder, for <picture>.limpid.png, or one .png file")->type_name("DIR|FILE.png")->capture_default_str();
  o->for_some_methods = {
      app->add_option("--steps", o->steps, "integrated_gradients: points on the path")->type_name("N")->capture_default_str(),
      app->add_option("--window", o->window, "occlusion: the window's rows and columns")->type_name("HxW")->capture_default_str(),
      app->add_option("--stride", o->stride, "occlusion: the window's steps [half a window]")->type_name("HxW"),
      app->add_option("--grid", o->grid, "feature_ablation: rectangles, R rows of C")->type_name("RxC")->capture_default_str(),
      app->add_option("--layer", o->layer, "gradcam, guided_gradcam: the layer looked at [the last with extent]")->type_name("NAME"),
  };
  app->add_option("--colors", o->colors, "Colour maps: dark (black at zero) or captum (Captum's own)")->type_name("NAME")->capture_default_str();
  app->add_option("--sign", o->sign, "What is shown: all, positive, negative or absolute_value [what suits the method]")->type_name("SIGN");
  app->add_option("--outlier-percent", o->outlier_percent, "How much of the magnitude may be clipped")->type_name("PERCENT")->capture_default_str();
  app->add_flag("--json", o->json, "Print the summary as a JSON list");
  add_model_options(*app, o->common);
  add_device_options(*app, o->common);
  app->footer("Methods: " + joined(attribution_methods()) + "\nExample: limpid explain dog.jpg --target beagle --output panels/");
  return {app, [o] { return explain(*o); }};
}
