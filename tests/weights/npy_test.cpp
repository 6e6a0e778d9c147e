// Reading and writing .npy: honest files bit for bit, and every lie that a header can tell.
#include <limpid/weights/npy.h>

#include <gtest/gtest.h>
#include <tests/support/paths.h>
#include <tests/weights/expect_error.h>
#include <tests/weights/files.h>

namespace limpid::testing {
namespace {

std::string npy_bytes(const std::string& header, std::size_t data, int version = 1) {
  return "\x93NUMPY" + std::string{static_cast<char>(version), '\0'} + little_endian(header.size(), version == 1 ? 2 : 4) + header + std::string(data, '\x40');
}

std::string dictionary(const std::string& descr, const std::string& order, const std::string& shape) {
  return "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}

class NpyAttack : public ::testing::Test {
 protected:
  void refused(const std::string& bytes, const std::string& words, ErrorCode code = ErrorCode::bad_file) {
    SCOPED_TRACE(bytes.substr(0, 200));
    const auto path = put(dir_ / "attack.npy", bytes);
    expect_error(code, words, [&] { read_npy(path); });
    expect_error(code, "attack.npy", [&] { read_npy(path); });
  }
  TempDir dir_;
};

TEST_F(NpyAttack, NotAFile) {
  expect_error(ErrorCode::not_found, "Check the path", [&] { read_npy(dir_ / "nothing.npy"); });
  expect_error(ErrorCode::bad_file, "is a folder", [&] { read_npy(dir_.path()); });
  refused("", "is empty");
  refused("some text that is long enough", "not a .npy file");
}

TEST_F(NpyAttack, TruncatedAnywhere) {
  for (const int version : {1, 2, 3}) {
    const std::string whole = npy_bytes(dictionary("'<f4'", "False", "(2, 3)"), 24, version);
    EXPECT_EQ(read_npy(put(dir_ / "whole.npy", whole)).shape(), (Shape{2, 3}));
    for (std::size_t n = 1; n < whole.size(); ++n) refused(whole.substr(0, n), "");
  }
}

TEST_F(NpyAttack, HeaderLengthBeyondTheFile) {
  refused("\x93NUMPY" + std::string("\1\0\xff\xff{'descr'", 13), "ends within its header");
  refused("\x93NUMPY" + std::string("\2\0\xff\xff\xff\xff{'descr'", 15), "header of 4294967295 bytes");
}

TEST_F(NpyAttack, UnknownVersion) {
  refused(npy_bytes(dictionary("'<f4'", "False", "(1,)"), 4, 4), "version 4", ErrorCode::unsupported);
  refused(npy_bytes(dictionary("'<f4'", "False", "(1,)"), 4, 0), "version 0", ErrorCode::unsupported);
}

TEST_F(NpyAttack, MissingAndSurplusData) {
  refused(npy_bytes(dictionary("'<f4'", "False", "(2,)"), 7), "needs 8 bytes and the file has 7");
  refused(npy_bytes(dictionary("'<f4'", "False", "(2,)"), 9), "needs 8 bytes and the file has 9");
}

TEST_F(NpyAttack, HugeShape) {
  refused(npy_bytes(dictionary("'<f4'", "False", "(1000000000000,)"), 4), "needs 4000000000000 bytes");
  refused(npy_bytes(dictionary("'<f4'", "False", "(4611686018427387904, 4)"), 4), "larger than any memory");
  refused(npy_bytes(dictionary("'<f4'", "False", "(4611686018427387904, 4, 0)"), 0), "larger than any memory");
  refused(npy_bytes(dictionary("'<f4'", "False", "(99999999999999999999,)"), 4), "beyond 64 bits");
  std::string ones;
  for (int i = 0; i < 65; ++i) ones += "1,";
  refused(npy_bytes(dictionary("'<f4'", "False", "(" + ones + ")"), 4), "more than 64 extents");
}

TEST_F(NpyAttack, NegativeExtent) { refused(npy_bytes(dictionary("'<f4'", "False", "(-1,)"), 4), "negative extent"); }

TEST_F(NpyAttack, FortranOrder) { refused(npy_bytes(dictionary("'<f4'", "True", "(2, 2)"), 16), "numpy.ascontiguousarray(array)", ErrorCode::unsupported); }

TEST_F(NpyAttack, BigEndian) { refused(npy_bytes(dictionary("'>f4'", "False", "(2,)"), 8), "big-endian", ErrorCode::unsupported); }

TEST_F(NpyAttack, OtherElementTypes) {
  for (const char* descr : {"'<c8'", "'|b1'", "'|O'", "'<U3'", "'<u2'", "''"})
    refused(npy_bytes(dictionary(descr, "False", "(1,)"), 8), "array.astype('<f4')", ErrorCode::unsupported);
  refused(npy_bytes(dictionary("[('x', '<f4')]", "False", "(1,)"), 4), "where a string belongs");
}

TEST_F(NpyAttack, MalformedHeader) {
  const std::string good = "'descr': '<f4', 'fortran_order': False, 'shape': (1,)";
  refused(npy_bytes("", 4), "has no '{'");
  refused(npy_bytes("{" + good, 4), "lacks a comma");
  refused(npy_bytes("{" + good + "} trailing", 4), "goes on behind its end");
  refused(npy_bytes("{" + good + ", 'shape': (1,)}", 4), "second key 'shape'");
  refused(npy_bytes("{" + good + ", 'extra': 1}", 4), "unknown key 'extra'");
  refused(npy_bytes("{'descr': '<f4', 'shape': (1,)}", 4), "lacks one of");
  refused(npy_bytes("{'descr': '<f4}", 4), "string without an end");
  refused(npy_bytes(dictionary("'<f4'", "1", "(1,)"), 4), "True or False");
  refused(npy_bytes(dictionary("'<f4'", "False", "(1.5,)"), 4), "lacks a comma");
  refused(npy_bytes(dictionary("'<f4'", "False", "(,)"), 4), "where an extent belongs");
  refused(npy_bytes(dictionary("'<f4'", "False", "(1"), 4), "");
  refused(npy_bytes(dictionary("'<f4'", "False", "[1]"), 4), "has no '('");
  refused(npy_bytes(std::string("{\0}", 3), 4), "NUL");
}

TEST_F(NpyAttack, AnyByteChanged) {
  const std::string whole = npy_bytes(dictionary("'<f4'", "False", "(2, 1)"), 8);
  const auto path = dir_ / "changed.npy";
  for (std::size_t i = 0; i < whole.size() - 8; ++i) {
    for (int c = 0; c < 256; c += 7) {
      std::string changed = whole;
      changed[i] = static_cast<char>(c);
      put(path, changed);
      try {
        EXPECT_EQ(read_npy(path).bytes(), 8u);
      } catch (const Error& error) { EXPECT_NE(std::string(error.what()).find("changed.npy"), std::string::npos) << error.what(); }
    }
  }
}

TEST(Npy, OtherSpellingsOfTheHeader) {
  TempDir dir;
  const auto read = [&](const std::string& header, std::size_t data) { return read_npy(put(dir / "a.npy", npy_bytes(header, data))); };
  EXPECT_EQ(read("{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<f4\"}", 24).shape(), (Shape{2, 3}));
  EXPECT_EQ(read("  { 'shape' : ( 2 , 3 , ) , 'fortran_order' : False , 'descr' : '<f4' , }  \n", 24).shape(), (Shape{2, 3}));
  EXPECT_EQ(read(dictionary("'<f4'", "False", "()"), 4).shape(), Shape());
}

TEST(Npy, RoundTripOfAllTypesIsBitEqual) {
  TempDir dir;
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::i64, DType::i32, DType::u8}) {
    for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3}, Shape{1, 3, 2, 2}, Shape{0}, Shape{3, 0, 2}}) {
      Tensor tensor(shape, dtype);
      auto* bytes = static_cast<unsigned char*>(tensor.raw());
      for (std::size_t i = 0; i < tensor.bytes(); ++i) bytes[i] = static_cast<unsigned char>(i * 151 + 13);
      write_npy(dir / "a.npy", tensor);
      const Tensor read = read_npy(dir / "a.npy");
      EXPECT_EQ(read.shape(), shape);
      ASSERT_EQ(read.dtype(), dtype);
      EXPECT_EQ(std::memcmp(read.raw(), tensor.raw(), tensor.bytes()), 0);
      EXPECT_EQ((get(dir / "a.npy").size() - tensor.bytes()) % 64, 0u);
    }
  }
}

TEST(Npy, HeaderIsNumPysOwn) {
  TempDir dir;
  write_npy(dir / "a.npy", Tensor({1, 3, 2}));
  EXPECT_EQ(get(dir / "a.npy").substr(0, 72), "\x93NUMPY" + std::string("\1\0\x76\0", 4) + "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 2), }");
}

TEST(Npy, Bfloat16BecomesFloat) {
  TempDir dir;
  write_npy(dir / "a.npy", Tensor::full({3}, 1.5, DType::bf16));
  const Tensor read = read_npy(dir / "a.npy");
  ASSERT_EQ(read.dtype(), DType::f32);
  EXPECT_EQ(read.at(2), 1.5);
}

TEST(Npy, RefusedWrites) {
  TempDir dir;
  expect_error(ErrorCode::invalid_argument, "no data", [&] { write_npy(dir / "a.npy", Tensor()); });
  expect_error(ErrorCode::io, "/dev/full: No space left", [] { write_npy("/dev/full", Tensor({1000})); });
  EXPECT_EQ(count_files(dir.path()), 0u);
}

}  // namespace
}  // namespace limpid::testing
