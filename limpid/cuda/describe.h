#pragma once
// What a lowered program does, for tests and benchmarks.
#include <limpid/runtime/backend.h>

#include <string>

namespace limpid::cuda {

/// A line a step: its phase, op, shapes and way ("body: conv2d [64, 56, 56] ... by ..."). Empty for a program of another backend.
std::string describe(const Program& program);

}  // namespace limpid::cuda
