#pragma once
// The options that every subcommand shares, and what they ask for: a model on a device.
#include <limpid/attribution/explainer.h>

#include <CLI/CLI.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// One subcommand: its part of the command line, and what it does; `run` returns the exit status.
struct Subcommand {
  CLI::App* app;
  std::function<int()> run;
};

struct CommonOptions {
  std::string model, weights, device = "auto", precision = "auto", max_memory;
  std::int64_t threads = 0;
  std::optional<std::uint64_t> seed;
  bool quiet = false;
};

/// --model, --weights, --seed
void add_model_options(CLI::App& app, CommonOptions& options);
/// --device, --precision, --max-memory, --threads, --quiet
void add_device_options(CLI::App& app, CommonOptions& options);

/// What the device options ask for. Throws invalid_argument or not_found for what this machine does not have: before a model is loaded.
limpid::CompileOptions compile_options(const CommonOptions& options);
/// The device and the precision that `auto` stands for: "cpu", "f32".
std::string device_name(const limpid::CompileOptions& options);
std::string precision_name(const limpid::CompileOptions& options);

/// Fetches what has to be fetched, loads, and says what was done to the file (unless --quiet).
std::shared_ptr<const limpid::Model> load_model(const CommonOptions& options);

/// Downloads weights that the catalogue knows by this name and that are not here yet, after saying what and how much; for any other name it
/// does nothing. A file of that name comes first.
void fetch_if_needed(const std::string& name, bool quiet);

/// A file that the call names and that is missing makes the run fail (exit status 1); a name that is unknown makes the call wrong (2).
/// This turns the first kind of not_found into io.
template <class Read>
auto reading(Read&& read) {
  try {
    return read();
  } catch (const limpid::Error& e) {
    if (e.code() != limpid::ErrorCode::not_found) throw;
    throw limpid::Error(limpid::ErrorCode::io, e.what());
  }
}
