// Attacks on checkpoints: what a pickle can claim of tensors, storages and state dicts.
#include <limpid/weights/pytorch.h>

#include <gtest/gtest.h>
#include <tests/weights/checkpoints.h>
#include <tests/weights/expect_error.h>

#include <cstring>
#include <limits>
#include <string>

namespace limpid::testing {
namespace {

using namespace pickled;

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
const std::string six_floats = [] {
  const float values[] = {0, 1, 2, 3, 4, 5};
  return std::string(reinterpret_cast<const char*>(values), sizeof values);
}();

PytorchFile read(const std::string& bytes) { return read_pytorch(std::as_bytes(std::span(bytes)), nullptr, "attack.pth"); }

/// The tensor "w" before an honest "x" in a storage of six floats, in both formats.
void refused(const std::string& tensor_pickle, const std::string& words, ErrorCode code = ErrorCode::bad_file) {
  const std::string pickle = dict({{"w", tensor_pickle}, {"x", tensor(6, 0, {1}, {1})}});
  for (const auto& bytes : {checkpoint_bytes(pickle, six_floats), legacy_bytes(pickle, {{"0", six_floats}})}) {
    expect_error(code, words, [&] { read(bytes); });
    expect_error(code, "attack.pth", [&] { read(bytes); });
  }
}

std::vector<float> values(const std::string& tensor_pickle) {
  const std::string pickle = dict({{"w", tensor_pickle}});
  const std::string archive = checkpoint_bytes(pickle, six_floats), stream = legacy_bytes(pickle, {{"0", six_floats}});
  const auto a = read(archive), b = read(stream);
  const auto x = a.tensors.at("w").span<float>(), y = b.tensors.at("w").span<float>();
  EXPECT_EQ(std::vector<float>(x.begin(), x.end()), std::vector<float>(y.begin(), y.end()));
  return {x.begin(), x.end()};
}

TEST(Pytorch, TensorsOfOneStorage) {
  EXPECT_EQ(values(tensor(6, 0, {2, 3}, {3, 1})), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values(tensor(6, 0, {3, 2}, {1, 3})), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(values(tensor(6, 5, {}, {})), (std::vector<float>{5}));
  EXPECT_EQ(values(tensor(6, 1, {2, 2}, {2, 0})), (std::vector<float>{1, 1, 3, 3}));
  EXPECT_EQ(values(tensor(6, 1, {1, 2, 1}, {most, 4, most})), (std::vector<float>{1, 5}));  // an extent of 1 has no stride
  EXPECT_TRUE(values(tensor(6, 0, {0, 3}, {3, 1})).empty());
  EXPECT_TRUE(values(tensor(6, 99, {0}, {most})).empty());
}

TEST(Pytorch, Zip64AndPaddedArchives) {
  const std::string pickle = dict({{"w", tensor(6, 0, {6}, {1})}});
  for (const auto& options : {ZipOptions{.zip64_end = true, .zip64_entries = true}, ZipOptions{.extra = std::string("FB\3\0ZZZ", 7)}})
    EXPECT_EQ(read(checkpoint_bytes(pickle, six_floats, options)).tensors.at("w").at(5), 5);
}

TEST(Pytorch, EveryAlignment) {
  for (std::size_t padding = 0; padding < 8; ++padding) {
    const std::string bytes = checkpoint_bytes(dict({{"w", tensor(6, 0, {6}, {1})}}), six_floats, {.extra = "FB" + little_endian(padding, 2) + std::string(padding, 'Z')});
    const auto file = read(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file.tensors.at("w").raw()) % 4, 0u);
    EXPECT_EQ(std::memcmp(file.tensors.at("w").raw(), six_floats.data(), 24), 0);
  }
}

TEST(Pytorch, LegacyViewsOfStorages) {  // what PyTorch wrote before 0.4
  const std::string view = tuple({text("storage"), global("torch", "FloatStorage"), text("0"), text("cpu"), integer(6), tuple({text("1"), integer(2), integer(3)})}) + "Q";
  const auto at = [&](std::int64_t offset, std::int64_t n) {
    return call(global("torch._utils", "_rebuild_tensor"), {view, integer(offset), extents({n}), extents({1})});
  };
  EXPECT_EQ(values(at(0, 3)), (std::vector<float>{2, 3, 4}));
  refused(at(1, 3), "reaches beyond its storage");
  refused(at(0, 4), "reaches beyond its storage");
}

TEST(Pytorch, LastOfEqualKeysCounts) {
  const std::string pickle = dict({{"w", tensor(6, 0, {1}, {1})}, {"w", tensor(6, 1, {1}, {1})}});
  EXPECT_EQ(read(checkpoint_bytes(pickle, six_floats)).tensors.at("w").at(0), 1);
}

TEST(Pytorch, PrefixesStayUnlessAllHaveThem) {
  const auto names = [](const std::vector<std::string>& keys) {
    std::vector<std::pair<std::string, std::string>> entries;
    for (const auto& key : keys) entries.emplace_back(key, tensor(6, 0, {1}, {1}));
    std::vector<std::string> found;
    for (const auto& [name, t] : read(checkpoint_bytes(dict(entries), six_floats)).tensors) found.push_back(name);
    return found;
  };
  EXPECT_EQ(names({"module.a", "b"}), (std::vector<std::string>{"b", "module.a"}));
  EXPECT_EQ(names({"module.", "module.a"}), (std::vector<std::string>{"module.", "module.a"}));  // nothing would be left of the name
  EXPECT_EQ(names({"modules.a"}), (std::vector<std::string>{"modules.a"}));
  EXPECT_EQ(names({"n_averaged"}), (std::vector<std::string>{"n_averaged"}));
  EXPECT_EQ(names({"module._orig_mod.model.a"}), (std::vector<std::string>{"a"}));
}

TEST(Pytorch, WhatIsNoTensorIsLeftOut) {
  const auto file = read(checkpoint_bytes(dict({{"w", tensor(6, 0, {1}, {1})}, {"step", integer(3)}, {"inner", dict({{"x", tensor(6, 0, {1}, {1})}})}}), six_floats));
  EXPECT_EQ(file.tensors.size(), 1u);
  ASSERT_EQ(file.notes.size(), 1u);
  EXPECT_NE(file.notes[0].find("'inner' and 'step'"), std::string::npos) << file.notes[0];
}

TEST(Pytorch, StateDictsLieFourLevelsDeepAtMost) {
  std::string pickle = dict({{"w", tensor(6, 0, {1}, {1})}});
  for (int level = 0; level < 4; ++level) {
    pickle = dict({{level % 2 ? "model" : "state_dict", pickle}});
    EXPECT_EQ(read(checkpoint_bytes(pickle, six_floats)).tensors.size(), 1u);
  }
  for (int level = 0; level < 3; ++level) pickle = dict({{"model", pickle}});
  expect_error(ErrorCode::bad_file, "no state dict", [&] { read(checkpoint_bytes(pickle, six_floats)); });
}

TEST(PytorchAttack, TensorBeyondItsStorage) {
  refused(tensor(6, 0, {7}, {1}), "reaches beyond its storage");
  refused(tensor(6, 1, {6}, {1}), "reaches beyond its storage");
  refused(tensor(6, 6, {}, {}), "reaches beyond its storage");
  refused(tensor(6, 0, {2, 3}, {4, 1}), "reaches beyond its storage");
  refused(tensor(6, 0, {2}, {most}), "reaches beyond its storage");
  refused(tensor(6, most, {2}, {1}), "reaches beyond its storage");
  refused(tensor(6, most, {2}, {most}), "reaches beyond its storage");
  refused(tensor(6, 0, {4, 4}, {most / 2, most / 2}), "reaches beyond its storage");
}

TEST(PytorchAttack, StorageSmallerThanItSays) {
  expect_error(ErrorCode::bad_file, "for 7 elements", [] { read(checkpoint_bytes(dict({{"w", tensor(7, 0, {7}, {1})}}), six_floats)); });
  expect_error(ErrorCode::bad_file, "elements", [] { read(checkpoint_bytes(dict({{"w", tensor(most, 0, {1}, {1})}}), six_floats)); });
  expect_error(ErrorCode::bad_file, "of 6 elements where 7 belong", [] { read(legacy_bytes(dict({{"w", tensor(7, 0, {7}, {1})}}), {{"0", six_floats}})); });
  refused(tensor(6, 0, {1}, {1}, "DoubleStorage"), "");
}

TEST(PytorchAttack, NegativeNumbers) {
  refused(tensor(6, -1, {1}, {1}), "negative");
  refused(tensor(6, 0, {-1}, {1}), "negative");
  refused(tensor(6, 5, {6}, {-1}), "negative");
  refused(tensor(-6, 0, {1}, {1}), "no number of elements");
}

TEST(PytorchAttack, OverflowingShape) {
  refused(tensor(6, 0, {most, most}, {0, 0}), "larger than any memory");
  refused(tensor(6, 0, {most}, {0}), "larger than any memory");
  refused(tensor(6, 0, {1LL << 32, 1LL << 32}, {0, 0}), "larger than any memory");
  refused(tensor(6, 0, {most, most, 0}, {0, 0, 0}), "larger than any memory");
  refused(tensor(6, 0, std::vector<std::int64_t>(65, 1), std::vector<std::int64_t>(65, 1)), "more than 64 extents");
}

TEST(PytorchAttack, ExpandedToFillTheMemory) {
  refused(tensor(6, 0, {1LL << 40}, {0}), "far more memory");
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 100; ++i) many.emplace_back(std::to_string(i), tensor(6, 0, {1 << 20}, {0}));
  expect_error(ErrorCode::bad_file, "far more memory", [&] { read(checkpoint_bytes(dict(many), six_floats)); });
}

TEST(PytorchAttack, ShapeAndStridesDisagree) { refused(tensor(6, 0, {2, 3}, {1}), "2 extents and 1 strides"); }

TEST(PytorchAttack, ArgumentsOfAnotherKind) {
  const std::string rebuild = global("torch._utils", "_rebuild_tensor_v2"), six = storage("FloatStorage", "0", 6);
  refused(call(rebuild, {}), "too few");
  refused(call(rebuild, {six, integer(0), extents({1})}), "too few");
  refused(call(global("torch._utils", "_rebuild_tensor_v3"), {six, integer(0), extents({1}), extents({1}), "\x89", "}"}), "too few");
  refused(call(rebuild, {integer(1), integer(0), extents({1}), extents({1})}), "has no storage");
  refused(call(rebuild, {six, text("0"), extents({1}), extents({1})}), "where a number belongs");
  refused(call(rebuild, {six, "\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x01", extents({1}), extents({1})}), "where a number belongs");
  refused(call(rebuild, {six, integer(0), integer(1), extents({1})}), "where its extents belong");
  refused(call(rebuild, {six, integer(0), tuple({text("1")}), extents({1})}), "where a number belongs");
  refused(call(global("torch._utils", "_rebuild_tensor_v3"), {six, integer(0), extents({1}), extents({1}), "\x89", "}", integer(4)}), "no known element type");
}

TEST(PytorchAttack, StorageReferences) {
  const auto with = [](const std::string& persistent) { return call(global("torch._utils", "_rebuild_tensor_v2"), {persistent, integer(0), extents({1}), extents({1})}); };
  const std::string type = global("torch", "FloatStorage");
  refused(with(text("storage") + "Q"), "no tuple of five or six");
  refused(with(tuple({text("storage"), type, text("0"), text("cpu")}) + "Q"), "no tuple of five or six");
  refused(with(tuple({text("module"), type, text("0"), text("cpu"), integer(6)}) + "Q"), "does not begin with 'storage'");
  refused(with(tuple({text("storage"), text("FloatStorage"), text("0"), text("cpu"), integer(6)}) + "Q"), "no known type");
  refused(with(tuple({text("storage"), global("torch", "Size"), text("0"), text("cpu"), integer(6)}) + "Q"), "no known type");
  refused(with(tuple({text("storage"), type, integer(0), text("cpu"), integer(6)}) + "Q"), "no key");
  for (const auto& view : {tuple({text("1"), integer(4), integer(3)}), tuple({text("1"), integer(most), integer(most)}), tuple({text("1"), integer(-1), integer(3)})})
    refused(with(tuple({text("storage"), type, text("0"), text("cpu"), integer(6), view}) + "Q"), "lies outside");
  refused(with(tuple({text("storage"), type, text("0"), text("cpu"), integer(6), integer(1)}) + "Q"), "no tuple of three");
}

TEST(PytorchAttack, StorageThatIsNotThere) {
  const std::string pickle = dict({{"w", call(global("torch._utils", "_rebuild_tensor_v2"), {storage("FloatStorage", "../../etc/passwd", 6), integer(0), extents({1}), extents({1})})}});
  expect_error(ErrorCode::bad_file, "no entry 'archive/data/../../etc/passwd'", [&] { read(checkpoint_bytes(pickle, six_floats)); });
  expect_error(ErrorCode::bad_file, "lists a storage that nothing refers to", [&] { read(legacy_bytes(pickle, {{"0", six_floats}})); });
  expect_error(ErrorCode::bad_file, "has no storage", [&] { read(legacy_bytes(pickle, {})); });
}

TEST(PytorchAttack, LegacyStorageSizes) {
  const std::string pickle = dict({{"w", tensor(6, 0, {6}, {1})}}), whole = legacy_bytes(pickle, {{"0", six_floats}});
  const auto numel = whole.size() - 24 - 8;
  for (const std::uint64_t lie : {std::uint64_t{5}, std::uint64_t{7}, ~std::uint64_t{0}, std::uint64_t{1} << 62})
    expect_error(ErrorCode::bad_file, "elements where 6 belong", [&] { read(std::string(whole).replace(numel, 8, little_endian(lie, 8))); });
  expect_error(ErrorCode::bad_file, "where " + std::to_string(most) + " belong",
               [&] { read(std::string(legacy_bytes(dict({{"w", tensor(most, 0, {6}, {1})}}), {{"0", six_floats}}))); });
}

TEST(PytorchAttack, LegacyVersionAndFirstPickles) {
  std::string bytes = legacy_bytes(dict({{"w", tensor(6, 0, {6}, {1})}}), {{"0", six_floats}});
  expect_error(ErrorCode::bad_file, "unknown version", [&] { read(std::string(bytes).replace(18, 1, "\x01")); });
  expect_error(ErrorCode::unsupported, "'os.system'", [&] { read(std::string(bytes).replace(21, 2, "cposix\nsystem\n)R.")); });  // as the writer's machine
  expect_error(ErrorCode::unsupported, "'collections.OrderedDict'", [&] { read(std::string(bytes).replace(21, 2, "ccollections\nOrderedDict\n.")); });
}

TEST(PytorchAttack, DictsThatHoldThemselves) {
  for (const char* key : {"model", "state_dict", "other"})
    expect_error(ErrorCode::bad_file, "no state dict", [&] { read(checkpoint_bytes("}q\x01" + text(key) + "h\x01s", six_floats)); });
  // Every entry leads to a dict whose every entry leads back: without a memory, the search would never end.
  std::string bytes = "}q\x01(";
  for (int i = 0; i < 20'000; ++i) bytes += text(std::to_string(i)) + "h\x01";
  for (const char* key : {"model", "state_dict", "model_state_dict"}) bytes += text(key) + "h\x01";
  expect_error(ErrorCode::bad_file, "no state dict", [&] { read(checkpoint_bytes(bytes + "u", six_floats)); });
}

TEST(PytorchAttack, ParametersAroundParameters) {
  std::string wrapped = tensor(6, 0, {1}, {1});
  for (int i = 0; i < 1000; ++i) wrapped = call(global("torch._utils", "_rebuild_parameter"), {wrapped, "\x89", "}"});
  expect_error(ErrorCode::bad_file, "deeper than 256", [&] { read(checkpoint_bytes(dict({{"w", wrapped}}), six_floats)); });
  std::string chain = tensor(6, 0, {1}, {1}) + "q\x01" "0" + global("torch._utils", "_rebuild_parameter") + "q\x02" "0" "h\x01";
  for (int i = 0; i < 1000; ++i) chain += "\x85q\x01" "0h\x02h\x01R";  // a call whose argument is the call before
  expect_error(ErrorCode::bad_file, "no state dict", [&] { read(checkpoint_bytes("}" + text("w") + chain + "s", six_floats)); });
}

TEST(PytorchAttack, TooManyTensors) {
  std::string bytes = "}q\x02" + tensor(6, 0, {1}, {1}) + "q\x01" "0(";
  for (int i = 0; i <= 100'000; ++i) bytes += text(std::to_string(i)) + "h\x01";
  expect_error(ErrorCode::bad_file, "more than 100000 tensors", [&] { read(checkpoint_bytes(bytes + "u", six_floats)); });
}

TEST(PytorchAttack, ByteOrderThatIsNone) {
  const std::string pickle = dict({{"w", tensor(6, 0, {6}, {1})}}) + ".";
  for (const std::string order : {"middle", "", "x\x1b[31m"})
    expect_error(ErrorCode::bad_file, "byte order", [&] { read(zip_bytes({{"a/data.pkl", pickle}, {"a/byteorder", order}, {"a/data/0", six_floats}})); });
  expect_error(ErrorCode::bad_file, "version", [&] { read(zip_bytes({{"a/data.pkl", pickle}, {"a/version", std::string(5000, '3')}, {"a/data/0", six_floats}})); });
}

TEST(PytorchAttack, TerminalEscapesInANameDoNotReachTheMessage) {
  try {
    read(checkpoint_bytes(dict({{"\x1b[31m" + std::string(5000, 'x'), tensor(6, 0, {7}, {1})}}), six_floats));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\x1b'), std::string::npos);
    EXPECT_LT(std::string(error.what()).size(), 500u);
  }
}

}  // namespace
}  // namespace limpid::testing
