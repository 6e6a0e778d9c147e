// limpid classify: what a network sees in pictures.
#include "console.h"
#include "interrupt.h"
#include "json.h"
#include "progress.h"
#include "subcommands.h"

#include <limpid/nn/preprocess.h>

#include <algorithm>

using namespace limpid;

namespace {

struct ClassifyOptions {
  CommonOptions common;
  std::vector<std::string> images;
  int top = 5;
  bool json = false;
};

std::string text_of_predictions(const std::vector<Prediction>& predictions) {
  std::size_t width = 0;
  for (const auto& p : predictions) width = std::max(width, columns_of(printable(p.label)));
  std::string text;
  for (const auto& p : predictions) text += padded(printable(p.label), width) + format("  %.4f\n", p.probability);
  return text;
}

int classify(const ClassifyOptions& o) {
  require(o.top >= 1, "--top: ", o.top, " predictions cannot be shown; give 1 or more.");
  const CompileOptions compile = compile_options(o.common);
  const auto model = load_model(o.common);
  const Explainer explainer(model, compile);

  Json list = Json::array();
  for (std::size_t i = 0; i < o.images.size(); ++i) {
    const std::string& path = o.images[i];
    const Image image = reading([&] { return read_image(path); });
    Progress progress(path, o.common.quiet || o.images.size() == 1);
    const auto predictions = explainer.classify(preprocess(image, model->preprocessing()), o.top, progress.run_options()).front();
    if (o.json) {
      list.push_back({{"image", path}, {"model", model->architecture()}, {"weights", model->weights()}, {"predictions", json_of(predictions)}});
    } else {
      const std::string heading = o.images.size() > 1 ? (i ? "\n" : "") + printable(path) + ":\n" : "";
      print(heading + text_of_predictions(predictions));
    }
  }
  if (o.json) print(text_of(list));
  return 0;
}

}  // namespace

Subcommand add_classify(CLI::App& program) {
  const auto o = std::make_shared<ClassifyOptions>();
  CLI::App* app = program.add_subcommand("classify", "Say what a network sees in pictures: label and probability, a line each");
  app->add_option("IMAGE", o->images, "JPEG, PNG or BMP files")->required()->type_name("");
  app->add_option("--top", o->top, "How many predictions")->type_name("N")->capture_default_str();
  app->add_flag("--json", o->json, "Print a JSON list, one entry per picture");
  add_model_options(*app, o->common);
  add_device_options(*app, o->common);
  app->footer("Example: limpid classify --top 3 cat.jpg dog.jpg");
  return {app, [o] { return classify(*o); }};
}
