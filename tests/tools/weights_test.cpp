// limpid weights: list, inspect, convert, fetch; and --weights with a name that has to be fetched.
#include <limpid/weights/catalogue.h>
#include <limpid/weights/models.h>
#include <limpid/weights/safetensors.h>
#include <tests/support/environment.h>
#include <tests/support/http_server.h>
#include <tests/tools/program.h>

namespace limpid::testing {
namespace {

/// A cache of the test's own.
class Weights : public ::testing::Test {
 protected:
  std::string file(const std::string& name) const { return (dir / name).string(); }
  TempDir dir;
  const Environment cache{"XDG_CACHE_HOME", (dir / "cache").string()}, torch{"TORCH_HOME", (dir / "torch").string()}, mirror{"LIMPID_WEIGHTS_URL", std::nullopt};
};

TEST_F(Weights, List) {
  const std::string text = answer({"weights", "list"});
  const auto list = json_answer({"weights", "list", "--json"});
  ASSERT_EQ(list.size(), bundled_models().size() + published_weights().size());
  EXPECT_EQ(list[0]["name"], "efficientnet_lite0");
  EXPECT_EQ(list[0]["where"], "bundled");
  for (const auto& entry : list) EXPECT_NE(text.find("\n" + entry["name"].get<std::string>() + " "), std::string::npos) << entry["name"];
  EXPECT_EQ(list[5]["name"], "resnet50_v2");
  EXPECT_EQ(list[5]["where"], "to fetch");
  EXPECT_EQ(list[5]["url"], "https://download.pytorch.org/models/resnet50-11ad3fa6.pth");
  EXPECT_TRUE(list[5]["sha256"].get<std::string>().starts_with("11ad3fa6"));
  EXPECT_NE(text.find("ResNet50_Weights.IMAGENET1K_V2, 80.9 % top-1; also called resnet50\n"), std::string::npos) << text;
}

TEST_F(Weights, Inspect) {
  const std::string text = answer({"weights", "inspect", "resnet18_imagenette"});
  EXPECT_NE(text.find("format                  safetensors\n"), std::string::npos) << text;
  EXPECT_NE(text.find("architecture            resnet18\n"), std::string::npos) << text;
  EXPECT_NE(text.find("fits                    yes\n"), std::string::npos) << text;
  EXPECT_NE(text.find("layer4.1.conv2.weight"), std::string::npos);
  const auto found = json_answer({"weights", "inspect", "--json", (source_dir() / "models" / "resnet18_imagenette.f16.safetensors").string()});
  EXPECT_EQ(found["architecture"], "resnet18");
  EXPECT_EQ(found["fits"], true);
  EXPECT_EQ(found["classes"], 10);
  EXPECT_EQ(found["preprocessing"]["resize"], 256);
  EXPECT_EQ(found["tensors"].size(), found["totals"]["f16"]["tensors"]);
  EXPECT_EQ(found["totals"]["total"], found["totals"]["f16"]);
  EXPECT_EQ(found["tensors"][0], (nlohmann::json{{"name", "bn1.bias"}, {"dtype", "f16"}, {"shape", {64}}}));
}

TEST_F(Weights, InspectCheckpoint) {
  const std::string path = (source_dir() / "tests/data/pytorch/training.zip.pth").string();
  const auto found = json_answer({"weights", "inspect", "--json", path});
  EXPECT_EQ(found["format"], "PyTorch zip archive");
  EXPECT_EQ(found["architecture"], "");
  EXPECT_TRUE(found["fits"].is_null());
  EXPECT_FALSE(found["notes"].empty());
  const std::string text = answer({"weights", "inspect", path});
  EXPECT_NE(text.find("\nnote "), std::string::npos) << text;
}

TEST_F(Weights, InspectNamesWhatDoesNotFit) {
  auto model = open_model("resnet18_imagenette");
  model.tensors.erase("layer1.0.conv1.weight");
  model.tensors.emplace("extra", Tensor(Shape{3}));
  write_safetensors(dir / "a.safetensors", model.tensors, model.metadata);
  const std::string text = answer({"weights", "inspect", file("a.safetensors")});
  EXPECT_NE(text.find("'layer1.0.conv1.weight' [64, 64, 3, 3]\n"), std::string::npos) << text;
  EXPECT_NE(text.find("'extra' [3]\n"), std::string::npos) << text;
  const auto found = json_answer({"weights", "inspect", "--json", file("a.safetensors")});
  EXPECT_EQ(found["fits"], false);
  EXPECT_EQ(found["missing"].size(), 1u);
  EXPECT_EQ(found["unexpected"].size(), 1u);
  expect_refusal(1, "does not fit resnet18", {"classify", picture("church.jpg"), "--weights", file("a.safetensors")});
}

TEST_F(Weights, InspectAnyTensors) {
  write_safetensors(dir / "other.safetensors", {{"w\x1b[2J", Tensor(Shape{2, 2})}}, {{"note", "\x1b]0;title\x07"}});
  const std::string text = answer({"weights", "inspect", file("other.safetensors")});
  EXPECT_NE(text.find("unknown"), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << "a file does not get to steer the terminal";
}

TEST_F(Weights, Convert) {
  EXPECT_EQ(answer({"weights", "convert", "resnet18_imagenette", file("out.safetensors"), "--dtype", "f32"}), "wrote " + file("out.safetensors") + "\n");
  const auto made = open_model(file("out.safetensors"));
  EXPECT_EQ(made.tensors.at("fc.weight").dtype(), DType::f32);
  std::ofstream(file("labels.txt")) << "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
  answer({"weights", "convert", file("out.safetensors"), file("b.safetensors"), "--labels", file("labels.txt")});
  EXPECT_EQ(json_answer({"classify", picture("church.jpg"), "--json", "--weights", file("b.safetensors")})[0]["predictions"][0]["label"], "e");
}

TEST_F(Weights, NotesOfAFileArePrinted) {
  std::map<std::string, Tensor> prefixed;
  for (const auto& [name, tensor] : open_model("resnet18_imagenette").tensors) prefixed.emplace("net." + name, tensor);
  write_safetensors(dir / "a.safetensors", prefixed);
  const std::vector<std::string> call = {"classify", picture("church.jpg"), "--weights", file("a.safetensors"), "--top", "1"};
  const Outcome o = limpid_program(call);
  EXPECT_EQ(o.status, 0);
  EXPECT_EQ(o.err, "limpid: note: The prefix 'net.' is removed from the names.\n");
  auto quiet = call;
  quiet.push_back("--quiet");
  EXPECT_EQ(answer(quiet), o.out);
}

TEST_F(Weights, ConvertSaysWhatItDid) {
  const std::string path = (source_dir() / "tests/data/pytorch/data_parallel.pth").string();
  const Outcome o = limpid_program({"weights", "convert", path, file("out.safetensors")});
  EXPECT_EQ(o.status, 0);
  EXPECT_NE(o.err.find("limpid: note: The prefix 'module.' is removed"), std::string::npos) << o.err;
  EXPECT_NE(o.err.find("limpid: note: The architecture is unknown"), std::string::npos) << o.err;
  EXPECT_EQ(answer({"weights", "convert", path, file("out.safetensors"), "--quiet"}), "");
}

TEST_F(Weights, ConvertRefuses) {
  const auto refuse = [&](int status, const std::string& words, const std::vector<std::string>& more) {
    std::vector<std::string> call = {"weights", "convert"};
    call.insert(call.end(), more.begin(), more.end());
    expect_refusal(status, words, call);
  };
  std::ofstream(file("one.txt")) << "a\n";
  refuse(2, "--dtype: 'f64' is not f16, bf16 or f32", {"resnet18_imagenette", file("out"), "--dtype", "f64"});
  refuse(2, "There are 1 labels for the 10 classes", {"resnet18_imagenette", file("out"), "--labels", file("one.txt")});
  refuse(1, "none.txt", {"resnet18_imagenette", file("out"), "--labels", file("none.txt")});
  refuse(1, "none.pth", {file("none.pth"), file("out")});
  refuse(1, "No space left on device", {"resnet18_imagenette", "/dev/full"});
  refuse(1, "Create the folder first", {"resnet18_imagenette", file("none/out")});
  answer({"weights", "convert", "resnet18_imagenette", file("in.safetensors")});
  refuse(2, "would overwrite the input", {file("in.safetensors"), file("in.safetensors")});
  EXPECT_EQ(files_in(dir.path()), 2u) << "nothing half-written";
}

TEST_F(Weights, FetchRefuses) {
  expect_refusal(2, "There are no weights 'resnet5' to fetch. Did you mean", {"weights", "fetch", "resnet5"});
  expect_refusal(2, "comes with limpid", {"weights", "fetch", "efficientnet_lite0"});
  const Environment open_line("LIMPID_WEIGHTS_URL", "http://example.com/");
  expect_refusal(2, "neither https nor on this machine", {"weights", "fetch", "resnet18", "--quiet"});
}

TEST_F(Weights, FetchSaysWhatAndHowMuch) {
  const HttpServer server([](const auto&, auto& connection) { connection.answer("404 Not Found", ""); });
  const Environment here("LIMPID_WEIGHTS_URL", server.url());
  const Outcome o = limpid_program({"weights", "fetch", "resnet50"});
  EXPECT_EQ(o.status, 1);
  EXPECT_EQ(o.out, "");
  EXPECT_TRUE(o.err.starts_with("limpid: fetching resnet50_v2 (torchvision's ResNet50_Weights.IMAGENET1K_V2, 80.9 % top-1): 97.8 MiB from " + server.url() +
                                "resnet50-11ad3fa6.pth to " + file("cache/limpid") + "\n"))
      << o.err;
  EXPECT_NE(o.err.find("limpid: 127.0.0.1 has no file"), std::string::npos) << o.err;
  EXPECT_EQ(server.requests()[0].path, "/resnet50-11ad3fa6.pth");
}

TEST_F(Weights, AnyCommandFetches) {
  const HttpServer server([](const auto&, auto& connection) { connection.answer("200 OK", "<html>"); });
  const Environment here("LIMPID_WEIGHTS_URL", server.url());
  for (const std::vector<std::string>& call : {std::vector<std::string>{"classify", picture("church.jpg"), "--weights", "resnet34", "--quiet"},
                                               {"explain", picture("church.jpg"), "--weights", "resnet34_v1", "--quiet", "--output", file("a.png")},
                                               {"weights", "inspect", "resnet34-b627a593.pth", "--quiet"},
                                               {"weights", "convert", "resnet34-b627a593", file("a.safetensors"), "--quiet"}})
    expect_refusal(1, "sends 6 bytes where resnet34-b627a593.pth has 83.3 MiB", call);
  EXPECT_EQ(server.requests().size(), 4u);
  EXPECT_EQ(files_in(dir / "cache/limpid"), 0u);
}

TEST_F(Weights, CtrlCKeepsWhatHasCome) {
  const HttpServer server([](const auto&, auto& connection) {
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 46830571\r\n\r\n" + std::string(1 << 20, 'x'));
    connection.stall();
  });
  const Environment here("LIMPID_WEIGHTS_URL", server.url());
  const Outcome o = limpid_program({"weights", "fetch", "resnet18", "--quiet"}, {.interrupt_after = std::chrono::milliseconds(1500)});
  EXPECT_EQ(o.status, 1);
  EXPECT_EQ(o.err, "limpid: Cancelled. 1.0 MiB are kept; the same call goes on from there.\n");
  EXPECT_EQ(std::filesystem::file_size(dir / "cache/limpid/resnet18-f37072fd.pth.part"), std::uintmax_t{1} << 20);
}

/// A file of the right name and size in the cache stands for the weights, without the network.
TEST_F(Weights, CachedWeightsAreUsed) {
  const auto& w = *find_published("resnet18");
  auto tensors = open_model("resnet18_imagenette").tensors;
  tensors["fc.weight"] = Tensor(Shape{1000, 512});
  tensors["fc.bias"] = Tensor(Shape{1000});
  tensors["fc.bias"].data<float>()[281] = 5;
  std::filesystem::create_directories(dir / "cache/limpid");
  const auto path = dir / "cache/limpid" / w.file;
  write_safetensors(path, tensors);
  const auto missing = w.bytes - std::filesystem::file_size(path);
  write_safetensors(path, tensors, {{"filler", std::string(missing - 40, ' ')}});
  ASSERT_TRUE(w.has_size(std::filesystem::file_size(path)));
  const auto found = json_answer({"classify", picture("tabby.jpg"), "--json", "--top", "1", "--weights", "resnet18"})[0];
  EXPECT_EQ(found["model"], "resnet18");
  EXPECT_EQ(found["weights"], "resnet18_v1");
  EXPECT_EQ(found["predictions"][0]["label"], "tabby");
  EXPECT_EQ(json_answer({"weights", "list", "--json"})[2]["where"], "here");
}

}  // namespace
}  // namespace limpid::testing
