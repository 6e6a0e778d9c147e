#pragma once
#include <limpid/runtime/backend.h>

#include <string>
#include <utility>
#include <vector>

namespace limpid::cpu {

/// One line a step of a program of the CPU backend: phase, op, shapes and the implementation that oneDNN chose. Empty for other backends' programs.
std::string describe(const Program& program);

/// Runs a phase as Program::run does and gives for each step, as described, the seconds that it took. For benchmarks.
std::vector<std::pair<std::string, double>> timed_run(const Program& program, Workspace& workspace, Phase phase, std::int64_t first_row, std::int64_t rows);

}  // namespace limpid::cpu
