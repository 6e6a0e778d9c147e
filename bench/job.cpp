// One job again and again in one process, driven over standard input: the limpid side of the race in bench/peers (its README has the protocol).
#include <CLI/CLI.hpp>
#include <limpid/attribution/attribution.h>
#include <limpid/runtime/near_names.h>
#include <limpid/weights/npy.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>

namespace {

using namespace limpid;

struct Switch {
  const char* name;
  bool PassOptions::* on;
  bool shortcut;  // does less work than the method's formula asks for; the others are how any good engine runs a graph
};

/// Every pass that can be switched off.
const Switch switches[] = {
    {"fold_batch_norm", &PassOptions::fold_batch_norm, false},       {"hoist_linear", &PassOptions::hoist_linear, true},
    {"closed_form", &PassOptions::closed_form, true},
    {"fuse_convolution", &PassOptions::fuse_convolution, false},     {"keep_masks", &PassOptions::keep_masks, true},
    {"fuse_relu_backward", &PassOptions::fuse_relu_backward, false}, {"sum_before_linear", &PassOptions::sum_before_linear, true},
    {"crop_windows", &PassOptions::crop_windows, true},              {"plan_memory", &PassOptions::plan_memory, false},
};
static_assert(std::size(switches) == sizeof(PassOptions), "a pass lacks its line in this table");

/// Switches off what `names` lists; `shortcuts` stands for all of them. Throws invalid_argument with near names.
void switch_off(PassOptions& passes, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    bool known = false;
    for (const Switch& s : switches)
      if (name == s.name || (name == "shortcuts" && s.shortcut)) passes.*s.on = false, known = true;
    std::vector<std::string> all{"shortcuts"};
    for (const Switch& s : switches) all.push_back(s.name);
    require(known, "There is no pass '", name, "'.", did_you_mean(name, all));
  }
}

}  // namespace

int main(int argc, char** argv) try {
  std::string job = "ig", weights = "efficientnet_lite0", architecture, input, output, precision = "auto", device = "cpu";
  std::vector<std::int64_t> targets;
  std::vector<std::string> without;
  std::int64_t steps = 50, window = 15, stride = 8, batch = 0;
  std::size_t max_memory = 0;
  int threads = 0, repeat = 1;
  bool list = false;
  CLI::App app{"Runs one attribution job per line `run` on standard input; `save` writes the result, `quit` ends."};
  app.add_option("--job", job, "ig, occlusion, gradcam, saliency or classify");
  app.add_option("--weights", weights);
  app.add_option("--model", architecture);
  app.add_option("--input", input, ".npy [N,3,H,W]");
  app.add_option("--target", targets, "a class, or one for each sample; default: the best")->delimiter(',');
  app.add_option("--steps", steps);
  app.add_option("--window", window);
  app.add_option("--stride", stride);
  app.add_option("--threads", threads);
  app.add_option("--repeat", repeat, "times a job runs per line; the mean is reported");
  app.add_option("--precision", precision);
  app.add_option("--device", device);
  app.add_option("--batch", batch, "variants per pass; 0: limpid's choice");
  app.add_option("--max-memory", max_memory, "bytes of workspace; 0: limpid's choice");
  app.add_option("--without", without, "passes to switch off; `shortcuts`: all that --list-passes calls so")->delimiter(',');
  app.add_option("--output", output, ".npy");
  app.add_flag("--list-passes", list, "print the passes as JSON and end");
  CLI11_PARSE(app, argc, argv);
  if (list) {
    auto names = nlohmann::json::array();
    for (const Switch& s : switches) names.push_back({{"name", s.name}, {"shortcut", s.shortcut}});
    std::cout << names << '\n';
    return 0;
  }
  require(!input.empty(), "--input is needed.");

  CompileOptions options;
  options.device = device;
  options.precision = precision_from(precision);
  options.threads = threads;
  options.max_memory = max_memory;
  options.internal_batch_size = batch;
  switch_off(options.passes, without);
  const Explainer explainer(Model::load(weights, architecture), options);
  const Tensor x = read_npy(input);
  const Target wanted(targets);
  Tensor result;
  std::size_t peak = 0;
  const auto once = [&] {
    if (job == "classify") {
      result = explainer.logits(x);
      return;
    }
    Attribution a;
    if (job == "ig") a = integrated_gradients(explainer, x, {wanted, {}, static_cast<int>(steps)});
    else if (job == "occlusion") a = occlusion(explainer, x, {wanted, {3, window, window}, {3, stride, stride}, {}});
    else if (job == "gradcam") a = gradcam(explainer, x, {wanted});
    else if (job == "saliency") a = saliency(explainer, x, {wanted});
    else fail(ErrorCode::invalid_argument, "There is no job '", job, "'.");
    result = a.attributions;
    peak = a.peak_bytes;
  };
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "quit") break;
    if (line == "save") {
      require(!output.empty() && result.defined(), "`save` needs --output and a run before it.");
      write_npy(output, result);
      std::cout << "{}" << std::endl;
      continue;
    }
    require(line == "run", "There is no command '", line, "'.");
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeat; ++i) once();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeat;
    std::cout << nlohmann::json{{"seconds", seconds}, {"peak_bytes", peak}} << std::endl;
  }
  return 0;
} catch (const std::exception& e) {
  std::cerr << "limpid_job: " << e.what() << '\n';
  return 1;
}
