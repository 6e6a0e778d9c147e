#pragma once
// The loops of the stand-in that take long, or that touch guard zones. Compiled optimised and without sanitizers, whatever the build; who calls
// has checked the extents.
#include <limpid/cuda/outside.h>

namespace limpid::cuda::on_host {

constexpr std::int64_t lanes = 16;

/// c[i,j] = the product of row i of a and row j of b, both of `length` floats, a multiple of `lanes`; added up from the end if `reversed`.
void products(const float* a, const float* b, float* c, std::int64_t rows, std::int64_t columns, std::int64_t length, bool reversed);

/// n elements of f32, bf16 or f16 as f32; for tf32 rounded to 10 bits, ties away from zero.
void convert(const void* from, DType type, std::size_t n, bool tf32, float* to);

/// The pattern on operands in its own layout; sums run the other way if `reversed`.
void convolve(const ConvolutionPattern& pattern, const ConvolutionArguments& arguments, DType bias_type, bool reversed);

/// Where an address is even lies the low byte of `poison`, else the high one.
void fill_with_poison(void* p, std::size_t bytes);
/// The first byte of [from, to) that holds something else, or null.
const std::byte* not_poison(const std::byte* from, const std::byte* to);

}  // namespace limpid::cuda::on_host
