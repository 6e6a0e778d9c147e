// Runs that fail: bad files, full disks, closed streams, Ctrl-C. One line, exit status 1, nothing half-written.
#include <limpid/weights/safetensors.h>
#include <tests/tools/program.h>
#include <tests/tools/small_input.h>

namespace limpid::testing {
namespace {

void put(const std::filesystem::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

TEST(Failures, Pictures) {
  TempDir dir;
  put(dir / "text.jpg", "this is no picture\n");
  put(dir / "empty.png", "");
  const std::string whole = bytes_of(picture("church.jpg"));
  put(dir / "cut.jpg", whole.substr(0, whole.size() / 2));
  for (const char* command : {"classify", "explain"}) {
    const Manner there{.folder = dir.path()};
    expect_refusal(1, "missing.jpg does not exist", {command, "missing.jpg"}, there);
    expect_refusal(1, "is a folder", {command, "."}, there);
    expect_refusal(1, "text.jpg is not a picture", {command, "text.jpg"}, there);
    expect_refusal(1, "empty.png", {command, "empty.png"}, there);
    expect_refusal(1, "cut.jpg", {command, "cut.jpg"}, there);
  }
  EXPECT_EQ(files_in(dir.path()), 3u);
}

TEST(Failures, Weights) {
  TempDir dir;
  const std::string image = picture("church.jpg");
  const auto good = read_safetensors(source_dir() / "models" / "resnet18_imagenette.f16.safetensors");
  const auto classify = [&](int status, const std::string& words, const std::string& name) {
    expect_refusal(status, words, {"classify", image, "--weights", (dir / name).string()});
  };

  auto tensors = good.tensors;
  tensors.erase("layer3.0.conv1.weight");
  write_safetensors(dir / "missing.safetensors", tensors, good.metadata);
  classify(1, "layer3.0.conv1.weight", "missing.safetensors");

  tensors = good.tensors;
  tensors["layer1.0.conv1.weight"] = Tensor(Shape{64, 64, 1, 1});
  write_safetensors(dir / "shape.safetensors", tensors, good.metadata);
  classify(1, "layer1.0.conv1.weight", "shape.safetensors");

  const std::string bytes = bytes_of(source_dir() / "models" / "resnet18_imagenette.f16.safetensors");
  put(dir / "cut.safetensors", bytes.substr(0, 100'000));
  classify(1, "cut.safetensors", "cut.safetensors");
  expect_refusal(1, "cut.safetensors", {"weights", "inspect", (dir / "cut.safetensors").string()});
  put(dir / "text.safetensors", "no weights here");
  classify(1, "text.safetensors", "text.safetensors");
  classify(1, "nowhere.safetensors", "nowhere.safetensors");

  write_safetensors(dir / "other.safetensors", {{"w", Tensor(Shape{2, 2})}});
  classify(1, "Name it with --model if it is one of them", "other.safetensors");
}

TEST(Failures, Arrays) {
  TempDir dir;
  const auto attribute = [&](int status, const std::string& words, const std::string& input) {
    expect_refusal(status, words,
                   {"attribute", (dir / input).string(), "--weights", "resnet18_imagenette", "--method", "saliency", "--output", (dir / "a.npy").string()});
    EXPECT_FALSE(std::filesystem::exists(dir / "a.npy"));
  };
  attribute(1, "missing.npy", "missing.npy");
  put(dir / "text.npy", "no array");
  attribute(1, "text.npy", "text.npy");
  write_npy(dir / "bytes.npy", Tensor(Shape{1, 3, 64, 64}, DType::u8));
  attribute(1, "its elements are u8", "bytes.npy");
  write_npy(dir / "flat.npy", Tensor(Shape{3, 64, 64}));
  attribute(1, "has the shape [3, 64, 64]; floats [N, 3, H, W]", "flat.npy");
  Tensor infinite = small_tensor();
  infinite.data<float>()[7] = INFINITY;
  write_npy(dir / "infinite.npy", infinite);
  attribute(1, "element number 7 is inf", "infinite.npy");
  write_npy(dir / "tiny.npy", Tensor(Shape{1, 3, 1, 1}));
  const Outcome tiny = limpid_program(
      {"attribute", (dir / "tiny.npy").string(), "--weights", "resnet18_imagenette", "--method", "saliency", "--output", (dir / "a.npy").string()});
  EXPECT_TRUE(tiny.status == 0 || tiny.status == 2) << tiny.err;
}

TEST(Failures, Memory) {
  TempDir dir;
  expect_refusal(1, "more than the budget",
                 {"attribute", small_npy(dir.path()), "--method", "saliency", "--output", (dir / "a.npy").string(), "--max-memory", "100"});
  EXPECT_FALSE(std::filesystem::exists(dir / "a.npy"));
}

TEST(Failures, Disks) {
  TempDir dir;
  const std::string input = small_npy(dir.path());
  const std::vector<std::string> saliency = {"attribute", input, "--weights", "resnet18_imagenette", "--method", "saliency"};
  const auto attribute = [&](const std::string& words, const std::string& output, const std::string& report) {
    auto call = saliency;
    call.insert(call.end(), {"--output", output, "--report", report});
    expect_refusal(1, words, call);
    EXPECT_EQ(files_in(dir.path()), 1u) << "only the input is there";
  };
  attribute("Create the folder first", (dir / "missing/a.npy").string(), (dir / "a.json").string());
  attribute("Create the folder first", (dir / "a.npy").string(), (dir / "missing/a.json").string());
  attribute("Is a directory", dir.path().string(), (dir / "a.json").string());
  attribute("No space left on device", "/dev/full", (dir / "a.json").string());
  attribute("No space left on device", (dir / "a.npy").string(), "/dev/full");
  expect_refusal(1, "No space left on device", {"explain", picture("church.jpg"), "--methods", "gradcam", "--output", "/dev/full"});
}

TEST(Failures, Streams) {
  for (const std::vector<std::string>& call :
       {std::vector<std::string>{"--help"}, {"--version"}, {"devices"}, {"weights", "list"}, {"classify", picture("church.jpg")}}) {
    expect_refusal(1, "No space left on device", call, {.stdout_to = "/dev/full"});
    expect_refusal(1, "Broken pipe", call, {.stdout_to = "broken pipe"});
    expect_refusal(1, "Cannot write the result", call, {.stdout_to = "closed"});
  }
}

TEST(Failures, CtrlC) {
  TempDir dir;
  const Outcome o = limpid_program({"attribute", picture("church.jpg"), "--method", "occlusion", "--window", "3", "--stride", "1", "--output",
                                    (dir / "a.npy").string(), "--report", (dir / "a.json").string()},
                                   {.interrupt_after = std::chrono::milliseconds(1500)});
  EXPECT_EQ(o.status, 1);
  EXPECT_EQ(o.err, "limpid: Cancelled.\n");
  EXPECT_LT(o.seconds, 20);
  EXPECT_EQ(files_in(dir.path()), 0u);
}

}  // namespace
}  // namespace limpid::testing
