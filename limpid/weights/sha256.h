#pragma once
// The SHA-256 of bytes and files (FIPS 180-4), by OpenSSL.
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace limpid {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  /// The digest of what came so far, as 64 lower-case hexadecimal digits. Nothing may follow.
  std::string digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Throws as MappedFile::open does.
std::string sha256_of(const std::filesystem::path& file);

}  // namespace limpid
