// limpid devices: where a network can run on this machine.
#include "console.h"
#include "json.h"
#include "subcommands.h"
#include "table.h"

#include <limpid/runtime/device.h>

using namespace limpid;

namespace {

int list_devices(bool as_json) {
  Table table({"device", "memory", "capability", "precisions", "description"});
  Json list = Json::array();
  for (const auto& d : devices()) {
    Json names = Json::array();
    std::string precisions;
    for (const Precision p : d.precisions) {
      names.push_back(name_of(p));
      precisions += (precisions.empty() ? "" : " ") + std::string(name_of(p));
    }
    list.push_back({{"name", d.name}, {"description", d.description}, {"capability", d.capability}, {"memory", d.memory}, {"precisions", names}});
    table.add({d.name, bytes_text(d.memory), d.capability.empty() ? "-" : d.capability, precisions, d.description});
  }
  print(as_json ? text_of(list) : table.text());
  return 0;
}

}  // namespace

Subcommand add_devices(CLI::App& program) {
  const auto json = std::make_shared<bool>(false);
  CLI::App* app = program.add_subcommand("devices", "List the devices with their memory, capability and precisions");
  app->add_flag("--json", *json, "Print a JSON list");
  return {app, [json] { return list_devices(*json); }};
}
