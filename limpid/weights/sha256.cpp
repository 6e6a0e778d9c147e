#include <limpid/runtime/error.h>
#include <limpid/weights/mapped_file.h>
#include <limpid/weights/sha256.h>

#include <openssl/evp.h>

#include <array>

namespace limpid {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

namespace {

void check(bool done) {
  if (!done) fail(ErrorCode::internal, "OpenSSL cannot compute a SHA-256.");
}

}  // namespace

Sha256::Sha256() : state_(std::make_unique<State>()) { check(state_->context && EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1); }
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) { check(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1); }

std::string Sha256::digest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int size = 0;
  check(EVP_DigestFinal_ex(state_->context, bytes.data(), &size) == 1);
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += {"0123456789abcdef"[bytes[i] >> 4], "0123456789abcdef"[bytes[i] & 15]};
  return text;
}

std::string sha256_of(const std::filesystem::path& file) {
  Sha256 hash;
  hash.update(MappedFile::open(file)->bytes());
  return hash.digest();
}

}  // namespace limpid
