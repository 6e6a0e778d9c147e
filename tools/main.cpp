// The limpid program: finds the subcommand, runs it, and turns every failure into one line and an exit status:
// 0 done, 1 the run failed, 2 the call was wrong.
#include "console.h"
#include "interrupt.h"
#include "parse.h"
#include "subcommands.h"

#include <limpid/runtime/near_names.h>
#include <limpid/runtime/version.h>

#include <algorithm>
#include <cstdlib>

#include <unistd.h>

namespace {

using Subcommands = std::vector<Subcommand>;

CLI::App* parsed_below(CLI::App* app) {
  for (CLI::App* below : app->get_subcommands()) return parsed_below(below);
  return app;
}

/// What is wrong with the call, in a sentence or two. A word that CLI11 did not expect explains more than what it missed.
std::string wrong_call(CLI::App& program, const CLI::ParseError& error) {
  CLI::App* app = parsed_below(&program);
  const bool leaf = app->get_subcommands([](CLI::App*) { return true; }).empty();
  std::string command = app == &program ? "limpid" : "limpid " + app->get_name();
  if (app->get_parent() && app->get_parent() != &program) command = "limpid " + app->get_parent()->get_name() + " " + app->get_name();
  const std::string help = " `" + command + " --help` explains the call.";

  std::vector<std::string> known;
  for (const CLI::Option* option : app->get_options())
    for (const auto& name : option->get_lnames()) known.push_back("--" + name);
  const auto unexpected = program.remaining(true);
  for (const auto& word : unexpected)
    if (word.starts_with('-')) return "There is no option '" + word + "'." + limpid::did_you_mean(word.substr(0, word.find('=')), known) + help;

  if (!leaf) {
    std::vector<std::string> names;
    for (const CLI::App* below : app->get_subcommands([](CLI::App*) { return true; })) names.push_back(below->get_name());
    const std::string list = joined(names);
    if (unexpected.empty()) return "Name a subcommand: " + list + "." + help;
    return "There is no subcommand '" + unexpected.front() + "'." + limpid::did_you_mean(unexpected.front(), names) + " The subcommands: " + list + ".";
  }
  if (!unexpected.empty()) return "The argument '" + unexpected.front() + "' is one too many." + help;
  std::string text = error.what();
  if (!text.ends_with('.')) text += '.';
  return text + help;
}

int run(int argc, char** argv) {
  CLI::App program("limpid: explanations of image classifiers, fast and exact.", "limpid");
  program.set_version_flag("--version", "limpid " + std::string(limpid::version()), "Print the version and leave");
  program.set_help_flag("-h,--help", "Print this help and leave");
  program.get_formatter()->column_width(38);
  program.require_subcommand(1);
  const Subcommands subcommands = {add_classify(program), add_explain(program), add_attribute(program),
                                   add_weights(program),  add_devices(program), add_verify(program)};
  program.footer("Exit status: 0 done, 1 the run failed, 2 the call was wrong.\n`limpid SUBCOMMAND --help` explains each.");

  try {
    program.parse(argc, argv);
  } catch (const CLI::CallForVersion& version) {
    print(std::string(version.what()) + "\n");
    return 0;
  } catch (const CLI::CallForHelp&) {
    print(program.help());
    return 0;
  } catch (const CLI::ParseError& error) {
    complain(wrong_call(program, error));
    return 2;
  }
  const auto chosen = std::find_if(subcommands.begin(), subcommands.end(), [](const Subcommand& s) { return s.app->parsed(); });
  return chosen->run();
}

int status_of(limpid::ErrorCode code) {
  using limpid::ErrorCode;
  return code == ErrorCode::invalid_argument || code == ErrorCode::not_found ? 2 : 1;
}

/// Threads that wait for the next parallel loop spin for some microseconds only, then sleep: on a machine that others use as well, spinning takes the
/// time that the busy ones need (measured: a default `explain` took 33 s instead of 9), while falling asleep at once costs a single picture's pass
/// a third of its time. OpenMP (GCC's) reads this before main, so the program starts over once.
void wait_briefly(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return;
  setenv("GOMP_SPINCOUNT", "1000", 1);
  execv("/proc/self/exe", argv);  // comes back only if it fails, which does no harm
}

}  // namespace

int main(int argc, char** argv) {
  wait_briefly(argv);
  prepare_streams();
  watch_interrupts();
  try {
    return run(argc, argv);
  } catch (const limpid::Error& error) {
    complain(error.what());
    return status_of(error.code());
  } catch (const std::bad_alloc&) {
    complain("The machine is out of memory. Use smaller inputs, or lower --max-memory.");
  } catch (const std::exception& error) { complain(std::string("Unexpected: ") + error.what()); }
  return 1;
}
