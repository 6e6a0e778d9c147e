#pragma once
// What tests ask of the stand-in beyond limpid/cuda/outside.h: what it pretends to be, and what it saw.
#include <limpid/cuda/outside.h>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace limpid::cuda::on_host {

/// The code under test broke a rule of the device. Not a limpid::Error, so that nothing handles it.
struct Trap : std::logic_error {
  using std::logic_error::logic_error;
};

/// What the library has plans for.
enum class Fusion {
  everything,  // every pattern
  no_masks,    // none that writes or reads a mask
  bare,        // convolutions with nothing behind them
  none,        // nothing
};

struct Settings {
  std::uint64_t seed = 1;                     // of every order of blocks and threads, and of made-up times
  int major = 9, minor = 0;                   // compute capability; 0.0: there is no driver
  std::size_t memory = std::size_t{8} << 30;  // bytes of the device
  Fusion fusion = Fusion::everything;
  bool depthwise = true;                      // whether the library has plans for depthwise convolutions
};

/// From LIMPID_HOST_CUDA_SEED (a number), LIMPID_HOST_CUDA_DEVICE ("none", "sm_61", "sm_75", ...), LIMPID_HOST_CUDA_MEMORY (bytes) and
/// LIMPID_HOST_CUDA_FUSION ("everything", "no_masks", "bare", "none"); tests may change them while no stream lives.
Settings& settings();

std::size_t used_memory();
struct Counts {
  std::uint64_t kernels = 0, threads = 0, plans = 0, products = 0, replays = 0;
};
/// Of all streams since the program began.
Counts counts();

/// The pattern that fresh memory and memory of a finished block are filled with: a NaN in f32, bf16 and f16, and no index.
constexpr std::uint16_t poison = 0x7fa1;

}  // namespace limpid::cuda::on_host
