#pragma once
// The subcommands, each in the file of its name.
#include "common_options.h"

Subcommand add_classify(CLI::App& program);
Subcommand add_explain(CLI::App& program);
Subcommand add_attribute(CLI::App& program);
Subcommand add_weights(CLI::App& program);
Subcommand add_devices(CLI::App& program);
Subcommand add_verify(CLI::App& program);
