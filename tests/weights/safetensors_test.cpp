// Reading and writing safetensors: honest files bit for bit, and every lie that a header can tell.
#include <limpid/weights/mapped_file.h>
#include <limpid/weights/safetensors.h>

#include <gtest/gtest.h>
#include <tests/support/paths.h>
#include <tests/weights/expect_error.h>
#include <tests/weights/files.h>

#include <sys/stat.h>

namespace limpid::testing {
namespace {

class SafetensorsAttack : public ::testing::Test {
 protected:
  /// Expects that a file of these bytes is refused with these words.
  void refused(const std::string& bytes, const std::string& words, ErrorCode code = ErrorCode::bad_file) {
    const auto path = put(dir_ / "attack.safetensors", bytes);
    expect_error(code, words, [&] { read_safetensors(path); });
    expect_error(code, "attack.safetensors", [&] { read_safetensors(path); });
  }
  void header_refused(const std::string& header, const std::string& words, std::size_t data = 8, ErrorCode code = ErrorCode::bad_file) {
    SCOPED_TRACE(header.substr(0, 200));
    refused(safetensors_bytes(header, data), words, code);
  }
  TempDir dir_;
};

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

TEST_F(SafetensorsAttack, MissingFile) {
  expect_error(ErrorCode::not_found, "Check the path", [&] { read_safetensors(dir_ / "nothing.safetensors"); });
}

TEST_F(SafetensorsAttack, PathBelowAFile) {
  const auto file = put(dir_ / "file", "x");
  expect_error(ErrorCode::not_found, "Check the path", [&] { read_safetensors(file / "below.safetensors"); });
}

TEST_F(SafetensorsAttack, Folder) {
  expect_error(ErrorCode::bad_file, "is a folder", [&] { read_safetensors(dir_.path()); });
}

TEST_F(SafetensorsAttack, PipeDoesNotBlock) {
  ASSERT_EQ(::mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  expect_error(ErrorCode::bad_file, "not a regular file", [&] { read_safetensors(dir_ / "pipe"); });
}

TEST_F(SafetensorsAttack, EmptyFile) { refused("", "is empty"); }
TEST_F(SafetensorsAttack, ShorterThanALength) { refused("1234567", "too short"); }
TEST_F(SafetensorsAttack, TextFile) { refused("A letter to the reader, not a file of tensors.\n", "not a safetensors file"); }
TEST_F(SafetensorsAttack, HeaderLengthZero) { refused(little_endian(0, 8), "not a JSON object"); }
TEST_F(SafetensorsAttack, HeaderLength2To63) { refused(little_endian(std::uint64_t{1} << 63, 8) + "{}", "9223372036854775808 bytes"); }
TEST_F(SafetensorsAttack, HeaderLengthAllOnes) { refused(little_endian(~std::uint64_t{0}, 8) + "{}", "would be 18446744073709551615"); }
TEST_F(SafetensorsAttack, HeaderLengthOneBeyondTheFile) { refused(little_endian(3, 8) + "{}", "is cut short"); }

TEST_F(SafetensorsAttack, HeaderBeyondTheFormatsLimit) {
  const auto path = put(dir_ / "sparse.safetensors", little_endian(100'000'001, 8) + "{");
  std::filesystem::resize_file(path, 100'000'100);  // a hole: takes no room on the disk
  expect_error(ErrorCode::bad_file, "more than the format allows", [&] { read_safetensors(path); });
}

TEST_F(SafetensorsAttack, TruncatedAnywhere) {
  const std::string whole = safetensors_bytes("{" + entry("a", "F32", "[2]", "[0,8]") + "}", 8);
  put(dir_ / "whole.safetensors", whole);
  ASSERT_EQ(read_safetensors(dir_ / "whole.safetensors").tensors.size(), 1u);
  for (std::size_t n = 1; n < whole.size(); ++n) refused(whole.substr(0, n), "");
}

TEST_F(SafetensorsAttack, AnyByteChanged) {
  const std::string tensors = entry("a", "F32", "[2,1]", "[0,8]") + "," + entry("b", "U8", "[3]", "[8,11]");
  const std::string whole = safetensors_bytes("{\"__metadata__\":{\"k\":\"v\"}," + tensors + "}", 11);
  const auto path = dir_ / "changed.safetensors";
  for (std::size_t i = 0; i < whole.size() - 11; ++i) {
    for (const char c : {'\0', '\xff', '"', '{', '}', '[', ']', '9', '-', ',', '\x80'}) {
      std::string changed = whole;
      changed[i] = c;
      put(path, changed);
      try {
        for (const auto& [name, tensor] : read_safetensors(path).tensors) EXPECT_LE(tensor.bytes(), 11u);
      } catch (const Error& error) { EXPECT_NE(std::string(error.what()).find("changed.safetensors"), std::string::npos) << error.what(); }
    }
  }
}

TEST_F(SafetensorsAttack, NotJson) {
  header_refused("{nonsense", "not valid JSON");
  header_refused("{\"a\":", "not valid JSON");
  header_refused("{} {}", "not valid JSON");
  header_refused("{\"\xff\xfe\":{}}", "not valid JSON");  // not UTF-8
}

TEST_F(SafetensorsAttack, NotAnObject) {
  header_refused("[]", "not a JSON object");
  header_refused("\"text\"", "not a JSON object");
  header_refused(" {}", "not a JSON object");
  header_refused("\xef\xbb\xbf{}", "not a JSON object");  // a byte-order mark
  header_refused(std::string("{}\0junk", 7), "not a JSON object");
}

TEST_F(SafetensorsAttack, DeepNesting) {
  header_refused("{\"a\":" + std::string(1'000'000, '['), "has a list");
  header_refused("{\"a\":{\"shape\":" + std::string(1'000'000, '['), "has a list");
  std::string objects = "{";
  for (int i = 0; i < 100'000; ++i) objects += "\"a\":{";
  header_refused(objects, "unknown property 'a'");
}

TEST_F(SafetensorsAttack, DuplicateKey) {
  header_refused("{" + entry("a", "U8", "[4]", "[0,4]") + "," + entry("a", "U8", "[4]", "[4,8]") + "}", "name 'a' twice");
  header_refused("{\"__metadata__\":{},\"__metadata__\":{}}", "'__metadata__' twice", 0);
  header_refused("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", "metadata key 'k' twice", 0);
  header_refused("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"F32\",\"shape\":[8],\"data_offsets\":[0,8]}}", "two of 'dtype'");
}

TEST_F(SafetensorsAttack, MissingAndUnknownProperties) {
  header_refused("{\"a\":{\"shape\":[8],\"data_offsets\":[0,8]}}", "a dtype");
  header_refused("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,8]}}", "a shape");
  header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[8]}}", "a data_offsets");
  header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8],\"stride\":[1]}}", "unknown property 'stride'");
}

TEST_F(SafetensorsAttack, WrongKindsOfValues) {
  header_refused("{\"a\":7}", "has a number");
  header_refused("{\"a\":null}", "has null");
  header_refused("{" + entry("a", "U8", "8", "[0,8]") + "}", "has a number");
  header_refused("{" + entry("a", "U8", "[\"8\"]", "[0,8]") + "}", "has a string");
  header_refused("{" + entry("a", "U8", "[true]", "[0,8]") + "}", "true or false");
  header_refused("{" + entry("a", "U8", "[8]", "[0]") + "}", "two offsets");
  header_refused("{" + entry("a", "U8", "[8]", "[]") + "}", "two offsets");
  header_refused("{" + entry("a", "U8", "[8]", "[0,8,8]") + "}", "more than 2 offsets");
  header_refused("{\"a\":{\"dtype\":3,\"shape\":[8],\"data_offsets\":[0,8]}}", "has a number");
}

TEST_F(SafetensorsAttack, NonStringMetadata) {
  header_refused("{\"__metadata__\":{\"k\":1}}", "where only strings", 0);
  header_refused("{\"__metadata__\":{\"k\":[\"v\"]}}", "where only strings", 0);
  header_refused("{\"__metadata__\":{\"k\":{\"v\":\"w\"}}}", "where only strings", 0);
  header_refused("{\"__metadata__\":{\"k\":null}}", "where only strings", 0);
  header_refused("{\"__metadata__\":\"k\"}", "has a string", 0);
}

TEST_F(SafetensorsAttack, UnknownElementType) {
  header_refused("{" + entry("a", "F8_E4M3", "[8]", "[0,8]") + "}", "'F8_E4M3'", 8, ErrorCode::unsupported);
  header_refused("{" + entry("a", "f32", "[2]", "[0,8]") + "}", "'f32'", 8, ErrorCode::unsupported);
  header_refused("{" + entry("a", "", "[2]", "[0,8]") + "}", "''", 8, ErrorCode::unsupported);
}

TEST_F(SafetensorsAttack, NegativeNumbers) {
  header_refused("{" + entry("a", "U8", "[-8]", "[0,8]") + "}", "a negative number");
  header_refused("{" + entry("a", "U8", "[8]", "[-8,0]") + "}", "a negative number");
  header_refused("{" + entry("a", "U8", "[8]", "[0,-9223372036854775808]") + "}", "a negative number");
}

TEST_F(SafetensorsAttack, FractionalNumbers) {
  header_refused("{" + entry("a", "U8", "[8.0]", "[0,8]") + "}", "fractional");
  header_refused("{" + entry("a", "U8", "[8]", "[0,8e0]") + "}", "fractional");
  header_refused("{" + entry("a", "U8", "[8]", "[0,18446744073709551616]") + "}", "fractional or oversized");
  header_refused("{" + entry("a", "U8", "[8]", "[0,1e999]") + "}", "not valid JSON");
}

TEST_F(SafetensorsAttack, OverflowingShape) {
  header_refused("{" + entry("a", "F32", "[4611686018427387904,4]", "[0,0]") + "}", "larger than any memory", 0);
  header_refused("{" + entry("a", "F32", "[4294967296,4294967296]", "[0,0]") + "}", "larger than any memory", 0);
  header_refused("{" + entry("a", "F64", "[2305843009213693952]", "[0,0]") + "}", "larger than any memory", 0);  // 2^61 * 8 = 2^64
  header_refused("{" + entry("a", "U8", "[18446744073709551615]", "[0,8]") + "}", "an extent of 18446744073709551615");
  header_refused("{" + entry("a", "U8", "[9223372036854775807,9223372036854775807,0]", "[0,0]") + "}", "larger than any memory", 0);
  header_refused("{" + entry("a", "U8", "[0,9223372036854775807,9223372036854775807]", "[0,0]") + "}", "larger than any memory", 0);
}

TEST_F(SafetensorsAttack, HugeRankAndCount) {
  std::string ones = "[1";
  for (int i = 0; i < 100; ++i) ones += ",1";
  header_refused("{" + entry("a", "U8", ones + "]", "[0,1]") + "}", "more than 64 extents", 1);
  std::string many = "{";
  for (int i = 0; i <= 100'000; ++i) many += std::string(i ? "," : "") + entry(std::to_string(i), "U8", "[0]", "[0,0]");
  header_refused(many + "}", "more than 100000 tensors", 0);
}

TEST_F(SafetensorsAttack, LyingOffsets) {
  header_refused("{" + entry("a", "U8", "[8]", "[8,0]") + "}", "ends before it begins");
  header_refused("{" + entry("a", "U8", "[9]", "[0,9]") + "}", "reaches to byte 9");
  header_refused("{" + entry("a", "U8", "[8]", "[18446744073709551608,18446744073709551615]") + "}", "reaches to byte");
  header_refused("{" + entry("a", "U8", "[7]", "[0,8]") + "}", "need 7");
  header_refused("{" + entry("a", "F32", "[8]", "[0,8]") + "}", "need 32");
}

TEST_F(SafetensorsAttack, Overlap) {
  header_refused("{" + entry("a", "U8", "[5]", "[0,5]") + "," + entry("b", "U8", "[4]", "[4,8]") + "}", "overlaps");
  header_refused("{" + entry("a", "U8", "[8]", "[0,8]") + "," + entry("b", "U8", "[8]", "[0,8]") + "}", "overlaps");
}

TEST_F(SafetensorsAttack, Hole) {
  header_refused("{" + entry("a", "U8", "[4]", "[0,4]") + "," + entry("b", "U8", "[3]", "[5,8]") + "}", "leaves a hole");
  header_refused("{" + entry("a", "U8", "[7]", "[1,8]") + "}", "leaves a hole");
  header_refused("{" + entry("a", "U8", "[7]", "[0,7]") + "}", "take 7 bytes");
  header_refused("{}", "take 0 bytes");
}

TEST_F(SafetensorsAttack, TerminalEscapesInANameDoNotReachTheMessage) {
  const auto path = put(dir_ / "a.safetensors", safetensors_bytes("{" + entry("\\u001b[31m" + std::string(5000, 'x'), "F9", "[8]", "[0,8]") + "}", 8));
  try {
    read_safetensors(path);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\x1b'), std::string::npos);
    EXPECT_LT(std::string(error.what()).size(), 500u);
  }
}

TEST(Safetensors, MisalignedTensorIsCopied) {
  TempDir dir;
  for (std::size_t padding = 0; padding < 8; ++padding) {  // every alignment of the data
    const std::string header = "{" + entry("byte", "U8", "[1]", "[0,1]") + "," + entry("wide", "F64", "[1]", "[1,9]") + "}" + std::string(padding, ' ');
    const auto file = read_safetensors(put(dir / "a.safetensors", safetensors_bytes(header, 9)));
    const Tensor& wide = file.tensors.at("wide");
    EXPECT_EQ(std::bit_cast<std::uintptr_t>(wide.raw()) % 8, 0u);
    EXPECT_EQ(std::memcmp(wide.data<double>(), "\2\3\4\5\6\7\10\11", 8), 0);
  }
}

TEST(Safetensors, EmptyFileOfTensors) {
  TempDir dir;
  write_safetensors(dir / "none.safetensors", {});
  const auto file = read_safetensors(dir / "none.safetensors");
  EXPECT_TRUE(file.tensors.empty());
  EXPECT_TRUE(file.metadata.empty());
}

TEST(Safetensors, ZeroSizeTensors) {
  TempDir dir;
  write_safetensors(dir / "a.safetensors", {{"a", Tensor({0, 3})}, {"b", Tensor::from<std::uint8_t>({1}, {7})}, {"c", Tensor({2, 0}, DType::f64)}});
  const auto file = read_safetensors(dir / "a.safetensors");
  EXPECT_EQ(file.tensors.at("a").shape(), (Shape{0, 3}));
  EXPECT_EQ(file.tensors.at("c").shape(), (Shape{2, 0}));
  EXPECT_TRUE(file.tensors.at("a").defined());
  EXPECT_EQ(file.tensors.at("b").at(0), 7);
}

TEST(Safetensors, RoundTripOfAllTypesIsBitEqual) {
  TempDir dir;
  std::map<std::string, Tensor> tensors;
  int odd = 1;  // odd numbers of elements, so that narrow types would misalign wide ones
  for (const DType dtype : {DType::u8, DType::f16, DType::bf16, DType::f32, DType::i32, DType::f64, DType::i64}) {
    Tensor tensor({odd, 3}, dtype);
    auto* bytes = static_cast<unsigned char*>(tensor.raw());
    for (std::size_t i = 0; i < tensor.bytes(); ++i) bytes[i] = static_cast<unsigned char>(i * 151 + 13);  // NaNs among them
    tensors.emplace("tensor." + std::string(name_of(dtype)), tensor);
    odd += 2;
  }
  tensors.emplace("scalar", Tensor::full({}, 2.5));
  const std::map<std::string, std::string> metadata = {{"labels", "[\"a\", \"b \\\" c\"]"}, {"kéy", "vâlue\n"}, {"", ""}};
  write_safetensors(dir / "all.safetensors", tensors, metadata);
  const auto file = read_safetensors(dir / "all.safetensors");
  EXPECT_EQ(file.metadata, metadata);
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const Tensor& read = file.tensors.at(name);
    EXPECT_EQ(read.shape(), tensor.shape()) << name;
    ASSERT_EQ(read.dtype(), tensor.dtype()) << name;
    EXPECT_EQ(std::memcmp(read.raw(), tensor.raw(), tensor.bytes()), 0) << name;
  }
  write_safetensors(dir / "again.safetensors", file.tensors, file.metadata);
  EXPECT_EQ(get(dir / "again.safetensors"), get(dir / "all.safetensors"));
}

TEST(Safetensors, TensorsOutliveTheFile) {
  TempDir dir;
  write_safetensors(dir / "a.safetensors", {{"a", Tensor::full({4}, 3)}});
  Tensor kept;
  { kept = read_safetensors(dir / "a.safetensors").tensors.at("a"); }
  write_safetensors(dir / "a.safetensors", {{"a", Tensor::full({4}, 5)}});  // replaced, not overwritten
  EXPECT_EQ(kept.at(3), 3);
  std::filesystem::remove(dir / "a.safetensors");
  EXPECT_EQ(kept.at(0), 3);
}

TEST(Safetensors, WriterRefusesWhatCannotBeRead) {
  TempDir dir;
  const auto path = dir / "a.safetensors";
  expect_error(ErrorCode::invalid_argument, "__metadata__", [&] { write_safetensors(path, {{"__metadata__", Tensor({1})}}); });
  expect_error(ErrorCode::invalid_argument, "no data", [&] { write_safetensors(path, {{"a", Tensor()}}); });
  expect_error(ErrorCode::invalid_argument, "not UTF-8", [&] { write_safetensors(path, {{"\xff", Tensor({1})}}); });
  expect_error(ErrorCode::invalid_argument, "not UTF-8", [&] { write_safetensors(path, {}, {{"k", "\xff"}}); });
  EXPECT_EQ(count_files(dir.path()), 0u);
}

TEST(Safetensors, FullDisk) {
  expect_error(ErrorCode::io, "/dev/full: No space left", [] { write_safetensors("/dev/full", {{"a", Tensor({1000})}}); });
}

}  // namespace
}  // namespace limpid::testing
