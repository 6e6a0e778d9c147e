#include "common_options.h"

#include "console.h"
#include "parse.h"
#include "weights_download.h"

#include <limpid/runtime/backend.h>
#include <limpid/runtime/near_names.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

using limpid::ErrorCode;

void add_model_options(CLI::App& app, CommonOptions& o) {
  app.add_option(
         "--weights", o.weights,
         "A .safetensors, .pth or .pt file, a name that `limpid weights list` prints (downloaded when it is not here), or random[:SEED] [efficientnet_lite0]")
      ->type_name("PATH|NAME");
  app.add_option("--model", o.model, "The architecture: resnet18, resnet50, efficientnet_lite0, ... [what the weights say]")->type_name("NAME");
  app.add_option("--seed", o.seed, "The seed of `--weights random`")->type_name("N");
}

void add_device_options(CLI::App& app, CommonOptions& o) {
  app.add_option("--device", o.device, "auto, cpu, cuda, cuda:N or reference")->type_name("NAME")->capture_default_str();
  app.add_option("--precision", o.precision, "auto, f32, tf32, bf16, f16 or f64 (`limpid devices` lists what is there)")
      ->type_name("NAME")
      ->capture_default_str();
  app.add_option("--max-memory", o.max_memory, "The most memory a run may take: 1000000, 512MiB, 2GiB")->type_name("BYTES");
  app.add_option("--threads", o.threads, "Threads on the CPU [all]")->type_name("N");
  app.add_flag("--quiet", o.quiet, "No progress bar, no notes, no summary");
}

limpid::CompileOptions compile_options(const CommonOptions& o) {
  limpid::CompileOptions c;
  c.device = o.device;
  c.precision = limpid::precision_from(o.precision);
  limpid::require(o.threads >= 0 && o.threads <= 4096, "--threads: ", o.threads, " is not possible; give a number from 1 to 4096, or 0 for all.");
  c.threads = static_cast<int>(o.threads);
  if (!o.max_memory.empty()) c.max_memory = bytes_in("--max-memory", o.max_memory);

  const auto [backend, index] = limpid::choose_backend(c.device);
  if (!backend) limpid::fail(ErrorCode::not_found, "This build of limpid has no backend for the device '", c.device, "'.");
  limpid::require(c.precision == limpid::Precision::automatic || backend->supports(c.precision), "The device ", device_name(c), " cannot compute in ",
                  o.precision, " on this machine; `limpid devices` lists what it can.");
  return c;
}

std::string device_name(const limpid::CompileOptions& options) {
  const auto [backend, index] = limpid::choose_backend(options.device);
  return backend->name() == "cuda" ? "cuda:" + std::to_string(index) : std::string(backend->name());
}

std::string precision_name(const limpid::CompileOptions& options) {
  return std::string(limpid::name_of(options.precision == limpid::Precision::automatic ? limpid::Precision::f32 : options.precision));
}

std::shared_ptr<const limpid::Model> load_model(const CommonOptions& o) {
  const std::string default_weights(limpid::bundled_models().front().name);
  std::string weights = o.weights.empty() ? default_weights : o.weights;
  const auto known = limpid::architectures();
  if (!o.model.empty() && std::find(known.begin(), known.end(), o.model) == known.end())
    limpid::fail(ErrorCode::invalid_argument, "There is no architecture '", o.model, "'.", limpid::did_you_mean(o.model, known), " Known: ", joined(known),
                 ".");
  limpid::require(!o.weights.empty() || o.model.empty() || o.model == default_weights, "--model ", o.model,
                  " needs weights: name them with --weights (a .safetensors, .pth or .pt file, ", "a name that `limpid weights list` prints, or random).");
  if (o.seed) {
    limpid::require(weights == "random", "--seed belongs to --weights random; nothing else here is drawn.");
    weights += ":" + std::to_string(*o.seed);
  }
  fetch_if_needed(weights, o.quiet);
  const bool file = weights.find('/') != std::string::npos || std::filesystem::path(weights).has_extension();
  const auto load = [&] { return limpid::Model::load(weights, o.model); };
  const auto model = file ? reading(load) : load();
  if (!o.quiet)
    for (const auto& note : model->notes()) complain("note: " + note);
  return model;
}

void fetch_if_needed(const std::string& name, bool quiet) {
  const auto* weights = limpid::find_published(name);
  std::error_code ignored;
  if (!weights || std::filesystem::is_regular_file(name, ignored) || limpid::find_cached(*weights)) return;
  download_weights(*weights, quiet);
}
