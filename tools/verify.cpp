// limpid verify: whether this build computes what it should on this machine.
#include "console.h"
#include "json.h"
#include "progress.h"
#include "subcommands.h"
#include "table.h"
#include "verify_checks.h"

using namespace limpid;

namespace {

int verify(const CommonOptions& o, bool as_json) {
  const CompileOptions compile = compile_options(o);
  std::vector<Check> checks;
  {
    Progress bar("verify", o.quiet);
    checks = run_checks(compile, bar.run_options());
  }
  Table table({"check", "error", "tolerance", ""});
  Json list = Json::array();
  int off = 0;
  for (const auto& c : checks) {
    off += !c.passed();
    table.add({c.name, format("%.2e", c.error), format("%.0e", c.tolerance), c.passed() ? "ok" : "OFF"});
    list.push_back({{"check", c.name}, {"error", c.error}, {"tolerance", c.tolerance}, {"passed", c.passed()}});
  }
  const Json all = {{"device", device_name(compile)}, {"precision", precision_name(compile)}, {"passed", off == 0}, {"checks", list}};
  print(as_json ? text_of(all) : "device " + device_name(compile) + ", precision " + precision_name(compile) + "\n" + table.text());
  if (off) complain(std::to_string(off) + " of " + std::to_string(checks.size()) + " checks are off.");
  return off ? 1 : 0;
}

}  // namespace

Subcommand add_verify(CLI::App& program) {
  struct Options {
    CommonOptions common;
    bool json = false;
  };
  const auto o = std::make_shared<Options>();
  CLI::App* app = program.add_subcommand("verify", "Check gradients, completeness and every fused path on this machine; fails when one is off");
  app->add_flag("--json", o->json, "Print a JSON object");
  add_device_options(*app, o->common);
  return {app, [o] { return verify(o->common, o->json); }};
}
