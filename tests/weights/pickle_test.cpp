// Pickles as data: every opcode that checkpoints use, and attacks.
#include <limpid/weights/pickle.h>

#include <gtest/gtest.h>
#include <tests/weights/checkpoints.h>
#include <tests/weights/expect_error.h>

#include <array>
#include <string>

namespace limpid::testing {
namespace {

using Kind = PickleValue::Kind;

constexpr std::array<std::string_view, 3> known = {"collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch.Size"};

Pickle read(const std::string& bytes) { return read_pickle(std::as_bytes(std::span(bytes)), known, "attack.pkl"); }

void refused(const std::string& bytes, const std::string& words, ErrorCode code = ErrorCode::bad_file) {
  expect_error(code, words, [&] { read(bytes); });
  expect_error(code, "attack.pkl", [&] { read(bytes); });
}

/// What a pickle of plain values means, written as Python would print it.
std::string print(const Pickle& pickle, PickleId id) {
  const auto& value = pickle[id];
  const auto list = [&](std::size_t first, bool pairs) {
    std::string text;
    for (std::size_t i = first; i < value.items.size(); ++i)
      text += (i == first ? "" : pairs && (i - first) % 2 ? ": " : ", ") + print(pickle, value.items[i]);
    return text;
  };
  switch (value.kind) {
    case Kind::none: return "None";
    case Kind::boolean: return value.integer ? "True" : "False";
    case Kind::integer: return std::to_string(value.integer);
    case Kind::wide: return "wide";
    case Kind::real: return std::to_string(value.real);
    case Kind::text: return "'" + std::string(value.text) + "'";
    case Kind::bytes: return "b'" + std::string(value.text) + "'";
    case Kind::tuple: return "(" + list(0, false) + ")";
    case Kind::list: return "[" + list(0, false) + "]";
    case Kind::set: return "<" + list(0, false) + ">";
    case Kind::dict: return "{" + list(0, true) + "}";
    case Kind::global: return std::string(value.text);
    case Kind::persistent: return "persistent" + print(pickle, value.items[0]);
    case Kind::call: return print(pickle, value.items[0]) + print(pickle, value.items[1]) + (value.items.size() > 2 ? "{" + list(2, true) + "}" : "");
  }
  return "?";
}

std::string meaning(const std::string& bytes) {
  const std::string kept = bytes;  // values are pieces of it
  const Pickle pickle = read_pickle(std::as_bytes(std::span(kept)), known, "a.pkl");
  return print(pickle, pickle.root);
}

TEST(Pickle, Scalars) {
  using namespace std::string_literals;
  EXPECT_EQ(meaning("\x80\x02N."), "None");
  EXPECT_EQ(meaning("(\x88\x89I01\nI00\nt."), "(True, False, True, False)");
  EXPECT_EQ(meaning("(K\xff" "M\xff\xffJ\xff\xff\xff\xffI-7\nL12L\nt."), "(255, 65535, -1, -7, 12)");
  EXPECT_EQ(meaning("(\x8a\x00\x8a\x01\xff\x8a\x02\x00\x80\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x8b\x01\x00\x00\x00\x05t."s),
            "(0, -1, -32768, 9223372036854775807, 5)");
  EXPECT_EQ(meaning("\x8a\x09\xff\xff\xff\xff\xff\xff\xff\x7f\x01."), "wide");
  EXPECT_EQ(meaning("L119547037146038801333356L\n."), "wide");
  EXPECT_EQ(meaning("(G\x3f\xf8\x00\x00\x00\x00\x00\x00" "F-2.5\nt."s), "(1.500000, -2.500000)");
}

TEST(Pickle, Text) {
  using namespace std::string_literals;
  EXPECT_EQ(meaning("(X\x01\0\0\0aU\x01" "bT\x01\0\0\0c\x8c\x01" "d\x8d\x01\0\0\0\0\0\0\0eS'f'\nS\"g\"\nVh\nt."s), "('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h')");
  EXPECT_EQ(meaning("(C\x01" "aB\x01\0\0\0b\x8e\x01\0\0\0\0\0\0\0c\x96\x01\0\0\0\0\0\0\0dt."s), "(b'a', b'b', b'c', b'd')");
}

TEST(Pickle, Containers) {
  EXPECT_EQ(meaning("(K\x01)K\x02\x85K\x03K\x04\x86K\x05K\x06K\x07\x87t."), "(1, (), (2), (3, 4), (5, 6, 7))");
  EXPECT_EQ(meaning("](K\x01K\x02" "eK\x03" "a."), "[1, 2, 3]");
  EXPECT_EQ(meaning("(K\x01K\x02l."), "[1, 2]");
  EXPECT_EQ(meaning("}(K\x01K\x02K\x03K\x04uK\x05Ns."), "{1: 2, 3: 4, 5: None}");
  EXPECT_EQ(meaning("(K\x01K\x02" "d."), "{1: 2}");
  EXPECT_EQ(meaning("(\x8f(K\x01\x90(K\x02\x91t."), "(<1>, <2>)");
}

TEST(Pickle, StackAndMemo) {
  EXPECT_EQ(meaning("(K\x01K\x02" "0K\x03" "2t."), "(1, 3, 3)");
  EXPECT_EQ(meaning("(K\x01(K\x02K\x03" "1t."), "(1)");
  EXPECT_EQ(meaning("(K\x01(0K\x02t."), "(1, 2)");
  EXPECT_EQ(meaning("(K\x01q\x05K\x02p7\nK\x03\x94h\x05g7\nh\x02j\x05" + std::string(3, '\0') + "t."), "(1, 2, 3, 1, 2, 3, 1)");
}

TEST(Pickle, CallsAreRecorded) {
  EXPECT_EQ(meaning("ccollections\nOrderedDict\n)R(K\x01K\x02u}b."), "collections.OrderedDict(){1: 2}");
  EXPECT_EQ(meaning("\x80\x04\x8c\x0b" "collections\x8c\x0bOrderedDict\x93)\x81."), "collections.OrderedDict()");
  EXPECT_EQ(meaning("(K\x01icollections\nOrderedDict\n."), "collections.OrderedDict(1)");
  EXPECT_EQ(meaning("(ctorch\nSize\nK\x01o."), "torch.Size(1)");
  EXPECT_EQ(meaning("(K\x01K\x02tQ."), "persistent(1, 2)");
  EXPECT_EQ(meaning("ctorch._utils\n_rebuild_tensor_v2\n."), "torch._utils._rebuild_tensor_v2");
}

TEST(Pickle, EndsAtItsEndMark) { EXPECT_EQ(read("K\x01.K\x02.").size, 3u); }

TEST(Pickle, MayHoldItself) {
  const std::string bytes = "]q\x01h\x01" "a.";
  const Pickle pickle = read(bytes);
  EXPECT_EQ(pickle[pickle.root].items.at(0), pickle.root);
}

TEST(PickleAttack, OsSystem) {
  // Protocol 0 on Linux and Windows, by the name that a person writes, protocol 4, and the class opcodes.
  for (const std::string module : {"posix", "nt", "os"}) {
    const auto named = [&](const std::string& bytes) { refused(bytes, "'os.system'", ErrorCode::unsupported); };
    named("c" + module + "\nsystem\n(S'touch /tmp/limpid_was_attacked'\ntR.");
    named("(S'touch /tmp/limpid_was_attacked'\ni" + module + "\nsystem\n.");
    named("(c" + module + "\nsystem\nS'ls'\no.");
    named("\x80\x04\x8c" + std::string(1, static_cast<char>(module.size())) + module + "\x8c\x06system\x93\x8c\x02ls\x85R.");
    named("\x80\x02}X\x01" + std::string(3, '\0') + "ac" + module + "\nsystem\ns.");  // even if it is not called
  }
}

TEST(PickleAttack, OtherGlobalsAreRefusedByName) {
  refused("cbuiltins\neval\n.", "'builtins.eval'", ErrorCode::unsupported);
  refused("c__builtin__\nexec\n.", "'__builtin__.exec'", ErrorCode::unsupported);
  refused("csubprocess\nPopen\n.", "'subprocess.Popen'", ErrorCode::unsupported);
  refused("ctorch\nSizes\n.", "'torch.Sizes'", ErrorCode::unsupported);
  refused("ctorch._utils\n_rebuild_tensor\n.", "'torch._utils._rebuild_tensor'", ErrorCode::unsupported);
  refused("ctorc\nh.Size\n.", "'torc.h.Size'", ErrorCode::unsupported);
  refused("c\n\n.", "'.'", ErrorCode::unsupported);
  refused("c" + std::string(5000, 'x') + "\x1b[31m\nf\n.", "xxx...'", ErrorCode::unsupported);
}

TEST(PickleAttack, TruncatedAnywhere) {
  const std::string whole = "\x80\x02}(X\x01" + std::string(3, '\0') + "aG" + std::string(8, '\0') + "U\x03xyzctorch\nSize\nK\x01\x85Ru.";
  EXPECT_EQ(read(whole).size, whole.size());
  for (std::size_t n = 0; n < whole.size(); ++n) refused(whole.substr(0, n), "");
}

TEST(PickleAttack, LengthsBeyondTheFile) {
  refused("X\xff\xff\xff\xff" "a.", "ends too early");
  refused("T\xff\xff\xff\x7f" "a.", "ends too early");
  refused("\x8d\xff\xff\xff\xff\xff\xff\xff\xff" "a.", "ends too early");
  refused("\x8b\xff\xff\xff\xff" "a.", "ends too early");
  refused("ctorch", "line without an end");
}

TEST(PickleAttack, EmptyStack) {
  for (const std::string opcode : {".", "2", "\x85", "\x86", "\x87", "a", "s", "R", "b", "Q", "q\x01", "\x94", "\x93", "\x81"}) refused(opcode + ".", "empty stack");
  for (const std::string opcode : {"1", "t", "l", "d", "e", "u", "\x90", "\x91", "o"}) refused(opcode + ".", "no mark");
  refused("K\x01(\x85.", "empty stack");  // not beyond the mark
  refused("(.", "empty stack");
  refused("0.", "no mark");
}

TEST(PickleAttack, ItemsWhereNoneBelong) {
  refused("K\x01K\x02" "a.", "holds none");
  refused("](K\x01K\x02u.", "holds none");
  refused(")K\x02" "a.", "holds none");
  refused("}(K\x01u.", "key without a value");
  refused("(K\x01" "d.", "key without a value");
}

TEST(PickleAttack, CallsOfWhatHasNoName) {
  refused("K\x01)R.", "no name");
  refused("ctorch\nSize\nK\x01R.", "without a tuple");
  refused("ctorch\nSize\n)R)R.", "no name");
  refused("(o.", "no name");
  refused("\x80\x04K\x01K\x02\x93.", "something else than text");
}

TEST(PickleAttack, RecallsWhatIsNotThere) {
  refused("h\x01.", "recalls the value 1");
  refused("g99999999999999999999\n.", "where a number belongs");
  refused("K\x01r\xff\xff\xff\xff" "0j\xfe\xff\xff\xff.", "recalls the value 4294967294");  // a memo of four billion places is not made
}

TEST(PickleAttack, OpcodesOfOtherMachinery) {
  for (const std::string opcode : {"\x82\x01", "\x83\x01\x01", "\x84\x01\x01\x01\x01", "\x92", "\x97", "\x98", "P1\n", "\xff"}) refused(opcode + ".", "checkpoints do not use");
  refused("\x80\x06.", "protocol 6");
}

TEST(PickleAttack, NumbersThatAreNone) {
  refused("Ix\n.", "where a number belongs");
  refused("I\n.", "where a number belongs");
  refused("F1.5x\n.", "where a number belongs");
  refused("Sa\n.", "without quotes");
  refused("S'\n.", "without quotes");
  refused("S'\\x41'\n.", "escapes");
}

TEST(PickleAttack, NestedMarks) { refused(std::string(300, '(') + ".", "deeper than 256"); }

TEST(PickleAttack, NestedTuplesTakeNoStackOfOurs) {
  const std::string bytes = ")" + std::string(1'000'000, '\x85') + ".";
  EXPECT_EQ(read(bytes).values.size(), 1'000'001u);
}

TEST(PickleAttack, TooManyValues) {
  refused(std::string(2'000'001, 'N') + ".", "more than 2000000 values");
  refused("N" + std::string(2'000'001, '2') + ".", "places of stack");
  std::string puts = "N";
  for (std::uint64_t i = 0; i <= 2'000'000; ++i) puts += "r" + little_endian(i, 4);
  refused(puts + ".", "remembers more than 2000000");
}

TEST(PickleAttack, EndlessWork) {
  std::string bytes = "N";
  for (int i = 0; i < 10'000'001; ++i) bytes += "20";
  refused(bytes, "steps");
}

}  // namespace
}  // namespace limpid::testing
