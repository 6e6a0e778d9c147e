// Reading zip archives: plain and zip64, and every lie that a header can tell.
#include <limpid/weights/zip.h>

#include <gtest/gtest.h>
#include <tests/weights/checkpoints.h>
#include <tests/weights/expect_error.h>

#include <string>

namespace limpid::testing {
namespace {

const std::vector<std::pair<std::string, std::string>> parts = {{"a/first", "content of the first"}, {"a/empty", ""}, {"b", "3"}};

std::map<std::string, std::string> read(const std::string& bytes) {
  std::map<std::string, std::string> found;
  for (const auto& [name, entry] : read_zip(std::as_bytes(std::span(bytes)), "attack.zip"))
    found.emplace(name, std::string(reinterpret_cast<const char*>(entry.content.data()), entry.content.size()));
  return found;
}

void refused(const std::string& bytes, const std::string& words, ErrorCode code = ErrorCode::bad_file) {
  expect_error(code, words, [&] { read(bytes); });
  expect_error(code, "attack.zip", [&] { read(bytes); });
}

/// The archive with `value` written at so many bytes behind the first `signature`.
std::string changed(std::string bytes, const std::string& signature, std::size_t behind, std::uint64_t value, std::size_t size) {
  const auto at = bytes.find(signature);
  EXPECT_NE(at, std::string::npos);
  return bytes.replace(at + behind, size, little_endian(value, size));
}

const std::map<std::string, std::string> expected(parts.begin(), parts.end());

TEST(Zip, PlainArchive) { EXPECT_EQ(read(zip_bytes(parts)), expected); }

TEST(Zip, EmptyArchive) { EXPECT_TRUE(read(zip_bytes({})).empty()); }

TEST(Zip, Zip64) {
  EXPECT_EQ(read(zip_bytes(parts, {.zip64_end = true})), expected);
  EXPECT_EQ(read(zip_bytes(parts, {.zip64_entries = true})), expected);
  EXPECT_EQ(read(zip_bytes(parts, {.zip64_end = true, .zip64_entries = true})), expected);
}

TEST(Zip, CommentAndLocalExtraField) {
  EXPECT_EQ(read(zip_bytes(parts, {.comment = "a comment with PK\5\6 in it and enough behind it"})), expected);
  EXPECT_EQ(read(zip_bytes(parts, {.extra = "FB" + little_endian(10, 2) + std::string(10, 'Z')})), expected);
}

TEST(Zip, CompressedEntriesAreListed) {
  const std::string bytes = zip_bytes(parts, {.method = 8});
  for (const auto& [name, entry] : read_zip(std::as_bytes(std::span(bytes)), "a.zip")) EXPECT_EQ(entry.method, 8u) << name;
}

TEST(ZipAttack, TruncatedAnywhere) {
  for (const auto& options : {ZipOptions{}, ZipOptions{.zip64_end = true, .zip64_entries = true}}) {
    const std::string whole = zip_bytes(parts, options);
    for (std::size_t n = 0; n < whole.size(); ++n) refused(whole.substr(0, n), "");
  }
}

TEST(ZipAttack, BytesBehindTheEnd) { refused(zip_bytes(parts) + "x", "has no end record"); }

TEST(ZipAttack, DirectoryOutsideTheFile) {
  refused(changed(zip_bytes(parts), "PK\5\6", 16, 0xfffffffe, 4), "its directory at bytes 4294967294");
  refused(changed(zip_bytes(parts), "PK\5\6", 12, 0xfffffffe, 4), "its directory");
  refused(changed(zip_bytes(parts, {.zip64_end = true}), "PK\6\6", 48, ~std::uint64_t{0}, 8), "its directory at bytes 18446744073709551615");
  refused(changed(zip_bytes(parts, {.zip64_end = true}), "PK\6\6", 40, ~std::uint64_t{0}, 8), "its directory");
  refused(changed(zip_bytes(parts, {.zip64_end = true}), "PK\6\7", 8, ~std::uint64_t{0}, 8), "its zip64 end record");
  refused(changed(zip_bytes(parts, {.zip64_end = true}), "PK\6\6", 0, 0, 4), "no zip64 end record");
}

TEST(ZipAttack, MoreEntriesThanThereAre) {
  refused(changed(changed(zip_bytes(parts), "PK\5\6", 8, 4, 2), "PK\5\6", 10, 4, 2), "no entry 4 of 4");
  refused(changed(zip_bytes(parts, {.zip64_end = true}), "PK\6\6", 32, 1'000'000, 8), "no entry 4 of 1000000");
  refused(changed(zip_bytes(parts, {.zip64_end = true}), "PK\6\6", 32, ~std::uint64_t{0}, 8), "claims 18446744073709551615 entries");
}

TEST(ZipAttack, EntryOutsideTheFile) {
  refused(changed(zip_bytes(parts), "PK\1\2", 42, 0xfffffffe, 4), "a local header");
  refused(changed(zip_bytes(parts), "PK\1\2", 42, 1, 4), "no local header");
  refused(changed(changed(zip_bytes(parts), "PK\1\2", 20, 5000, 4), "PK\1\2", 24, 5000, 4), "'a/first'");
  const std::string field = little_endian(1, 2) + little_endian(24, 2);
  refused(changed(zip_bytes(parts, {.zip64_entries = true}), field, 20, ~std::uint64_t{0}, 8), "a local header at bytes 18446744073709551615");
  refused(changed(changed(zip_bytes(parts, {.zip64_entries = true}), field, 4, ~std::uint64_t{7}, 8), field, 12, ~std::uint64_t{7}, 8), "'a/first'");
}

TEST(ZipAttack, NameBeyondTheDirectory) {
  refused(changed(zip_bytes(parts), "PK\1\2", 28, 0xffff, 2), "cut short");
  refused(changed(zip_bytes(parts), "PK\3\4", 26, 0xffff, 2), "a name");
  refused(changed(zip_bytes(parts), "PK\3\4", 28, 0xffff, 2), "'a/first'");
}

TEST(ZipAttack, NamesThatDiffer) { refused(changed(zip_bytes(parts), "PK\3\4", 30, 'x', 1), "otherwise in its local header"); }

TEST(ZipAttack, NameTwice) { refused(zip_bytes({{"a", "1"}, {"a", "2"}}), "'a' twice"); }

TEST(ZipAttack, StoredInAnotherSize) { refused(changed(zip_bytes(parts), "PK\1\2", 24, 7, 4), "of 7 bytes in 20"); }

TEST(ZipAttack, MissingZip64Field) {
  refused(changed(zip_bytes(parts), "PK\1\2", 24, 0xffffffff, 4), "no zip64 field");
  refused(changed(zip_bytes(parts, {.zip64_entries = true}), little_endian(1, 2) + little_endian(24, 2), 2, 8, 2), "too short");
}

TEST(ZipAttack, Encrypted) { refused(zip_bytes(parts, {.flags = 1}), "is encrypted", ErrorCode::unsupported); }

TEST(ZipAttack, SeveralParts) { refused(changed(zip_bytes(parts), "PK\5\6", 4, 1, 2), "several parts", ErrorCode::unsupported); }

TEST(ZipAttack, AnyByteChanged) {
  const std::string whole = zip_bytes(parts, {.zip64_end = true, .zip64_entries = true});
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (int c = 0; c < 256; c += 5) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(c);
      try {
        EXPECT_LE(read(bytes).size(), parts.size());
      } catch (const Error& error) { EXPECT_NE(std::string(error.what()).find("attack.zip"), std::string::npos) << error.what(); }
    }
}

}  // namespace
}  // namespace limpid::testing
