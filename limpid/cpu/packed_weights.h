#pragma once
// Weights in the layout that a primitive wants: packed once, shared by every program of the same constants while one lives.
#include <limpid/cpu/onednn_shim.h>
#include <limpid/runtime/tensor.h>

#include <functional>
#include <memory>
#include <string>

namespace limpid::cpu {

/// The dense, C-order layout of so many extents (at most five).
memory::format_tag plain_tag(std::size_t rank);

struct PackedWeights {
  dnnl::memory memory;
  Tensor source;  // keeps the address that identifies it
  std::string arrangement;
};

/// `source` as f32 of the dims `plain`, brought into the layout and type `wanted`. `arrange` (if any) rearranges it first, in the way that
/// `arrangement` names.
std::shared_ptr<const PackedWeights> pack(const Tensor& source, const memory::dims& plain, const memory::desc& wanted, const std::string& arrangement = {},
                                          const std::function<Tensor(const Tensor&)>& arrange = {});

}  // namespace limpid::cpu
