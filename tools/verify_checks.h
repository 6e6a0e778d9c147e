#pragma once
// The checks of `limpid verify`: each compares what a device computes with something that is right for another reason.
#include <limpid/attribution/explainer.h>

#include <string>
#include <vector>

struct Check {
  std::string name;
  double error, tolerance;
  bool passed() const { return error <= tolerance; }  // false for NaN
};

/// Runs them all with these options; a few seconds on a CPU.
std::vector<Check> run_checks(const limpid::CompileOptions& options, const limpid::RunOptions& run);
