// limpid attribute: attributions as numbers.
#include "console.h"
#include "interrupt.h"
#include "json.h"
#include "methods.h"
#include "outputs.h"
#include "parse.h"
#include "progress.h"
#include "subcommands.h"

#include <limpid/attribution/quadrature.h>
#include <limpid/nn/preprocess.h>
#include <limpid/runtime/atomic_file.h>
#include <limpid/runtime/near_names.h>
#include <limpid/weights/npy.h>

#include <algorithm>
#include <chrono>
#include <cmath>

using namespace limpid;

namespace {

struct AttributeOptions {
  CommonOptions common;
  std::string input, method, output, report;
  std::string target = "auto", layer, neuron, rule = "gausslegendre", baseline = "0", window = "15x15", stride, grid, upsample;
  int steps = 50;
  std::int64_t batch = 0;
  bool no_multiply_by_inputs = false, abs = true, no_abs = false;
  std::vector<CLI::Option*> for_some_methods;
};

bool is_npy(const std::string& path) { return std::filesystem::path(path).extension() == ".npy"; }

void require_options_apply(const AttributeOptions& o) {
  for (const CLI::Option* option : o.for_some_methods)
    if (option->count() > 0) require_option_known("--" + option->get_lnames().front(), std::span(&o.method, 1));
  const bool cam = o.method == "gradcam" || o.method == "guided_gradcam";
  require(cam || o.layer.empty() || !o.neuron.empty(), "--layer needs --neuron C,Y,X with ", o.method, ": the score is then that neuron of the layer.");
  require(o.neuron.empty() || !o.layer.empty(), "--neuron needs --layer: the layer that the neuron is in.");
  require(o.neuron.empty() || o.target == "auto", "--target and --neuron exclude each other: the score is a class or a neuron.");
}

Baseline baseline_in(const std::string& text) {
  if (text == "blur") return Baseline::blur();
  if (const auto number = number_in(text)) return *number;
  require(is_npy(text), "--baseline: '", text, "' is neither a number, nor blur, nor a .npy file.");
  return reading([&] { return read_npy(text); });
}

std::array<std::int64_t, 3> neuron_in(const std::string& text) {
  const auto parts = comma_separated("--neuron", text);
  std::array<std::int64_t, 3> neuron{0, 0, 0};
  bool fits = parts.size() == 3 || parts.size() == 1;
  for (std::size_t i = 0; fits && i < parts.size(); ++i) {
    const auto number = integer_in(parts[i]);
    fits = number.has_value();
    neuron[i] = number.value_or(0);
  }
  require(fits, "--neuron: '", text, "' is not CHANNEL,ROW,COLUMN (or CHANNEL alone in a layer without extent).");
  return neuron;
}

MethodOptions method_options(const AttributeOptions& o) {
  const auto rules = quadrature_rules();
  if (std::find(rules.begin(), rules.end(), o.rule) == rules.end())
    fail(ErrorCode::invalid_argument, "--rule: there is no rule '", o.rule, "'.", did_you_mean(o.rule, rules), " The rules: ", joined(rules), ".");
  MethodOptions m;
  if (o.neuron.empty()) {
    m.layer = o.layer;
  } else {
    m.targets.front().layer = o.layer;
    m.targets.front().neuron = neuron_in(o.neuron);
  }
  m.steps = o.steps;
  m.rule = o.rule;
  m.multiply_by_inputs = !o.no_multiply_by_inputs;
  m.abs = !o.no_abs;
  m.baseline = baseline_in(o.baseline);
  m.window = extents_in("--window", o.window);
  m.stride = o.stride.empty() ? half_overlapping(m.window) : extents_in("--stride", o.stride);
  if (!o.grid.empty()) {
    m.grid = extents_in("--grid", o.grid);
    require(m.grid[0] >= 1 && m.grid[1] >= 1, "--grid: '", o.grid, "' has no cells; give 1x1 or more.");
  }
  if (!o.upsample.empty()) interpolation_named(o.upsample);
  m.upsample = o.upsample;
  return m;
}

Tensor read_tensor(const std::string& path) {
  const Tensor x = reading([&] { return read_npy(path); });
  const auto refuse = [&](const auto&... what) {
    fail(ErrorCode::bad_file, path, what..., "; floats [N, 3, H, W], normalised as the network wants them, are needed.");
  };
  if (x.dtype() != DType::f32 && x.dtype() != DType::f64) refuse(": its elements are ", name_of(x.dtype()));
  if (x.shape().rank() != 4 || x.shape()[1] != 3 || x.numel() == 0) refuse(" has the shape ", x.shape());
  for (std::int64_t i = 0; i < x.numel(); ++i)
    if (!std::isfinite(x.at(i))) refuse(": element number ", i, " is ", x.at(i));
  return x;
}

Tensor read_input(const std::string& path, const Model& model) {
  if (is_npy(path)) return read_tensor(path);
  return preprocess(reading([&] { return read_image(path); }), model.preprocessing());
}

std::vector<std::int64_t> classes_in(const std::string& text, const Model& model) {
  if (text == "auto") return {};
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c == ',' || c == '-' || (c >= '0' && c <= '9'); })) return {model.class_index(text)};
  std::vector<std::int64_t> classes;
  for (const auto& part : comma_separated("--target", text)) classes.push_back(model.class_index(part));
  return classes;
}

std::string summary(const AttributeOptions& o, const Model& model, const Attribution& a, double load_seconds) {
  std::string text;
  for (std::size_t i = 0; i < a.targets.size(); ++i) {
    const std::string target = o.neuron.empty() ? std::to_string(a.targets[i]) + " (" + printable(model.labels()[static_cast<std::size_t>(a.targets[i])]) + ")"
                                                : o.layer + "[" + o.neuron + "]";
    text += "target " + target + format("  score %.6g", a.scores[i]);
    text += a.convergence_delta.empty() ? "\n" : format("  convergence delta %.3g\n", a.convergence_delta[i]);
  }
  text += format("load %.2f s, compile %.2f s, run %.2f s, workspace ", load_seconds, a.compile_seconds, a.run_seconds) + bytes_text(a.peak_bytes) + "\n";
  return text + "wrote " + printable(o.output) + " " + a.attributions.shape().to_string() + "\n";
}

int attribute(const AttributeOptions& o) {
  require_method(o.method);
  require_options_apply(o);
  require(!same_file(o.output, o.input), "--output would overwrite the input ", o.input, "; name another file.");
  require(o.report.empty() || (!same_file(o.report, o.input) && !same_file(o.report, o.output)),
          "--report would overwrite another file of this call; name one of its own.");
  require(o.batch >= 0, "--batch: ", o.batch, " variants a pass are not possible; give 1 or more, or 0 to let limpid choose.");
  CompileOptions compile = compile_options(o.common);
  compile.internal_batch_size = o.batch;
  MethodOptions options = method_options(o);
  require_writable(o.output);
  if (!o.report.empty()) require_writable(o.report);

  const auto start = std::chrono::steady_clock::now();
  const auto model = load_model(o.common);
  const Tensor inputs = read_input(o.input, *model);
  options.targets.front().classes = classes_in(o.target, *model);
  const double load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  const Explainer explainer(model, compile);
  const Attribution a = [&] {
    Progress progress(o.method, o.common.quiet);
    return std::move(::attribute(explainer, o.method, inputs, options, progress.run_options()).front());
  }();
  stop_if_cancelled();

  const Json report = {{"model", model->architecture()},
                       {"weights", model->weights()},
                       {"device", device_name(compile)},
                       {"precision", precision_name(compile)},
                       {"method", o.method},
                       {"targets", a.targets},
                       {"scores", a.scores},
                       {"delta", a.convergence_delta},
                       {"seconds", {{"load", load_seconds}, {"compile", a.compile_seconds}, {"run", a.run_seconds}}},
                       {"peak_bytes", a.peak_bytes}};
  if (o.report.empty()) {
    write_npy(o.output, a.attributions.to(DType::f32));
  } else {  // both files or none: the report is written, the numbers get their name, then the report does
    AtomicFile file(o.report);
    file.write(text_of(report));
    write_npy(o.output, a.attributions.to(DType::f32));
    file.commit();
  }
  if (!o.common.quiet && !is_stdout(o.output) && !is_stdout(o.report)) print(summary(o, *model, a, load_seconds));
  return 0;
}

}  // namespace

Subcommand add_attribute(CLI::App& program) {
  const auto o = std::make_shared<AttributeOptions>();
  CLI::App* app = program.add_subcommand("attribute", "Write a method's attributions as numbers (.npy)");
  app->add_option("INPUT", o->input, "A picture, or a .npy of floats [N, 3, H, W] that is normalised already")->required()->type_name("");
  app->add_option("--method", o->method, "One of those below")->required()->type_name("NAME");
  app->add_option("--output", o->output, "The file to write: float32, with the shape that Captum returns")->required()->type_name("OUT.npy");
  app->add_option("--report", o->report, "Also write targets, scores, convergence delta, times and memory")->type_name("OUT.json");
  app->add_option("--target", o->target, "The class that is explained: auto (the most probable), an index or a label; or an index per sample")
      ->type_name("CLASS[,CLASS]")
      ->capture_default_str();
  app->add_option("--layer", o->layer, "gradcam, guided_gradcam: the layer looked at [the last with extent]; else where --neuron is")->type_name("NAME");

  const auto some = [&](CLI::Option* option, const char* type, bool shows_default = true) {
    o->for_some_methods.push_back(option);
    option->type_name(type);
    if (shows_default) option->capture_default_str();
  };
  some(app->add_option("--neuron", o->neuron, "The score is this neuron of --layer instead of a class"), "C,Y,X", false);
  some(app->add_option("--steps", o->steps, "integrated_gradients: points on the path"), "N");
  some(app->add_option("--rule", o->rule, "integrated_gradients: the quadrature rule, one of those below"), "NAME");
  some(app->add_option("--baseline", o->baseline, "What an absent feature looks like: a number, blur, or a file"), "0|FLOAT|blur|FILE.npy");
  some(app->add_option("--window", o->window, "occlusion: the window's rows and columns"), "HxW");
  some(app->add_option("--stride", o->stride, "occlusion: the window's steps [half a window]"), "HxW", false);
  some(app->add_option("--grid", o->grid, "feature_ablation: ablate rectangles, R rows of C [each element alone: slow]"), "RxC", false);
  some(app->add_option("--upsample", o->upsample, "gradcam: to the input's size, nearest or bilinear; guided_gradcam: how [nearest]"), "HOW", false);
  some(app->add_flag("--no-multiply-by-inputs", o->no_multiply_by_inputs, "integrated_gradients: the mean gradient alone"), "", false);
  some(app->add_flag("--no-abs", o->no_abs, "saliency: the gradient with its sign"), "", false);
  some(app->add_flag("--abs", o->abs, "saliency: absolute values (the default)")->excludes("--no-abs"), "", false);

  app->add_option("--batch", o->batch, "Variants of the input per pass [what fits the memory]")->type_name("N");
  add_model_options(*app, o->common);
  add_device_options(*app, o->common);
  app->footer("Methods: " + joined(attribution_methods()) + "\nRules: " + joined(quadrature_rules()) +
              "\nExample: limpid attribute cat.jpg --method integrated_gradients --output cat.npy --report cat.json");
  return {app, [o] { return attribute(*o); }};
}
