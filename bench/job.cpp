// One job again and again in one process, driven over standard input: the limpid side of the race in bench/peers (its README has the protocol).
#include <CLI/CLI.hpp>
#include <limpid/attribution/attribution.h>
#include <limpid/weights/npy.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <iostream>

int main(int argc, char** argv) try {
  using namespace limpid;
  std::string job = "ig", weights = "efficientnet_lite0", architecture, input, output, precision = "auto", device = "cpu";
  std::int64_t target = -1, steps = 50, window = 15, stride = 8, batch = 0;
  int threads = 0, repeat = 1;
  CLI::App app{"Runs one attribution job per line `run` on standard input; `quit` writes the result and ends."};
  app.add_option("--job", job, "ig, occlusion, gradcam, saliency or classify");
  app.add_option("--weights", weights);
  app.add_option("--model", architecture);
  app.add_option("--input", input, ".npy [N,3,H,W]")->required();
  app.add_option("--target", target);
  app.add_option("--steps", steps);
  app.add_option("--window", window);
  app.add_option("--stride", stride);
  app.add_option("--threads", threads);
  app.add_option("--repeat", repeat, "times a job runs per line; the mean is reported");
  app.add_option("--precision", precision);
  app.add_option("--device", device);
  app.add_option("--batch", batch, "variants per pass; 0: limpid's choice");
  app.add_option("--output", output, ".npy");
  CLI11_PARSE(app, argc, argv);

  CompileOptions options;
  options.device = device;
  options.precision = precision_from(precision);
  options.threads = threads;
  options.internal_batch_size = batch;
  const Explainer explainer(Model::load(weights, architecture), options);
  const Tensor x = read_npy(input);
  const Target wanted = target < 0 ? Target() : Target(target);
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
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeat; ++i) once();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeat;
    std::cout << nlohmann::json{{"seconds", seconds}, {"peak_bytes", peak}} << std::endl;
  }
  if (!output.empty() && result.defined()) write_npy(output, result);
  return 0;
} catch (const std::exception& e) {
  std::cerr << "limpid_job: " << e.what() << '\n';
  return 1;
}
