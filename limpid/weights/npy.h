#pragma once
// NumPy's .npy files: one array, little-endian, C order.
#include <limpid/runtime/tensor.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace limpid {

/// Reads '<f4', '<f8', '<f2', '<i8', '<i4' or '|u1' (format versions 1, 2 and 3) into storage of its own.
/// Throws not_found, io, bad_file (damaged, or of another kind), unsupported (Fortran order, big-endian, another element type;
/// the message says which NumPy call makes a file that can be read).
Tensor read_npy(const std::filesystem::path& path);

/// The same from bytes in memory; `name` stands for the file in messages.
Tensor read_npy(std::span<const std::byte> bytes, const std::string& name);

/// Writes the tensor whole or not at all; bf16, which NumPy does not have, as '<f4'. Throws io; invalid_argument for a tensor without data.
void write_npy(const std::filesystem::path& path, const Tensor& tensor);

}  // namespace limpid
