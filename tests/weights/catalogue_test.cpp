// The table of published weights, where they are kept, and fetching one.
#include <limpid/weights/catalogue.h>
#include <limpid/weights/models.h>
#include <limpid/weights/sha256.h>

#include <gtest/gtest.h>
#include <tests/support/environment.h>
#include <tests/support/http_server.h>
#include <tests/support/paths.h>
#include <tests/weights/expect_error.h>
#include <tests/weights/files.h>

#include <regex>
#include <set>

namespace limpid::testing {
namespace {

TEST(Catalogue, EveryEntryIsWhole) {
  std::set<std::string> names, files, newest;
  for (const auto& w : published_weights()) {
    EXPECT_TRUE(names.insert(w.name).second && files.insert(w.file).second) << w.name;
    EXPECT_TRUE(std::regex_match(w.sha256, std::regex("[0-9a-f]{8}|[0-9a-f]{64}"))) << w.name;
    EXPECT_EQ(w.file, w.architecture + "-" + w.sha256.substr(0, 8) + ".pth");
    EXPECT_TRUE(w.name == w.architecture + "_v1" || w.name == w.architecture + "_v2");
    EXPECT_TRUE(w.enumerator.ends_with(w.name.ends_with("_v1") ? "_Weights.IMAGENET1K_V1" : "_Weights.IMAGENET1K_V2")) << w.enumerator;
    if (w.newest) { EXPECT_TRUE(newest.insert(w.architecture).second) << "two are the newest " << w.architecture; }
    EXPECT_GT(w.top1, 69);
  }
  EXPECT_EQ(names.size(), 17u);
  EXPECT_EQ(newest.size(), 10u);
}

TEST(Catalogue, FilesOfTheIssueAreThere) {
  for (const char* file :
       {"resnet18-f37072fd", "resnet34-b627a593", "resnet50-0676ba61", "resnet50-11ad3fa6", "resnet101-63fe2227", "resnet101-cd907fc2", "resnet152-394f9c45",
        "resnet152-f82ba261", "wide_resnet50_2-95faca4d", "wide_resnet50_2-9ba9bcbe", "resnext50_32x4d-7cdf4587", "resnext50_32x4d-1a0047aa"})
    EXPECT_NE(find_published(file), nullptr) << file;
}

TEST(Catalogue, Names) {
  const auto* v1 = find_published("resnet50_v1");
  const auto* v2 = find_published("resnet50_v2");
  ASSERT_TRUE(v1 && v2);
  EXPECT_EQ(find_published("resnet50"), v2) << "as torchvision's DEFAULT";
  EXPECT_EQ(find_published("resnet50-0676ba61"), v1);
  EXPECT_EQ(find_published("resnet50-11ad3fa6.pth"), v2);
  EXPECT_EQ(find_published("resnet18"), find_published("resnet18_v1"));
  for (const char* other : {"", "resnet", "resnet50_v3", "resnet50.pth", "resnet50-", "efficientnet_lite0", "/resnet50"})
    EXPECT_EQ(find_published(other), nullptr) << other;
  EXPECT_EQ(v1->enumerator, "ResNet50_Weights.IMAGENET1K_V1");
  EXPECT_EQ(find_published("wide_resnet101_2")->enumerator, "Wide_ResNet101_2_Weights.IMAGENET1K_V2");
  EXPECT_EQ(find_published("resnext101_64x4d")->enumerator, "ResNeXt101_64X4D_Weights.IMAGENET1K_V1");
}

TEST(Catalogue, SizesAndPreprocessing) {
  EXPECT_TRUE(find_published("resnet18")->has_size(46'830'571));
  EXPECT_TRUE(find_published("resnet34")->has_size(87'319'819));
  EXPECT_TRUE(find_published("resnet50_v1")->has_size(102'530'333));
  EXPECT_TRUE(find_published("resnet50_v2")->has_size(102'540'417));
  EXPECT_FALSE(find_published("resnet50_v2")->has_size(102'530'333));
  EXPECT_EQ(find_published("resnet50_v1")->preprocessing, Preprocessing());
  Preprocessing v2;
  v2.resize = 232;
  EXPECT_EQ(find_published("resnet50_v2")->preprocessing, v2);
  EXPECT_EQ(find_published("resnext101_64x4d")->preprocessing, v2);
}

TEST(Catalogue, Urls) {
  const auto* w = find_published("resnet50_v1");
  {
    const Environment unset("LIMPID_WEIGHTS_URL", std::nullopt);
    EXPECT_EQ(url_of(*w), "https://download.pytorch.org/models/resnet50-0676ba61.pth");
  }
  for (const char* base : {"https://mirror.example/w", "https://mirror.example/w/"}) {
    const Environment mirror("LIMPID_WEIGHTS_URL", base);
    EXPECT_EQ(url_of(*w), "https://mirror.example/w/resnet50-0676ba61.pth");
  }
}

TEST(Catalogue, Folders) {
  TempDir dir;
  const auto* w = find_published("resnet18");
  const Environment home("HOME", dir.path().string()), torch("TORCH_HOME", std::nullopt);
  {
    const Environment cache("XDG_CACHE_HOME", std::nullopt);
    EXPECT_EQ(cache_path(*w), dir / ".cache/limpid/resnet18-f37072fd.pth");
    const Environment nowhere("HOME", std::nullopt);
    expect_error(ErrorCode::not_found, "Set XDG_CACHE_HOME", [&] { cache_path(*w); });
  }
  const Environment cache("XDG_CACHE_HOME", (dir / "xdg").string());
  EXPECT_EQ(cache_path(*w), dir / "xdg/limpid/resnet18-f37072fd.pth");
  const Environment relative("XDG_CACHE_HOME", "relative");
  EXPECT_EQ(cache_path(*w), dir / ".cache/limpid/resnet18-f37072fd.pth");
}

TEST(Catalogue, FindsWhatIsHere) {
  TempDir dir;
  const auto* w = find_published("resnet18");
  const Environment cache("XDG_CACHE_HOME", (dir / "cache").string()), torch("TORCH_HOME", (dir / "torch").string());
  EXPECT_EQ(find_cached(*w), std::nullopt);
  expect_error(ErrorCode::not_found, "have not been fetched. `limpid weights fetch resnet18_v1`", [] { open_model("resnet18"); });
  const auto make = [&](const std::filesystem::path& path, std::uintmax_t size) {
    std::filesystem::create_directories(path.parent_path());
    put(path, "");
    std::filesystem::resize_file(path, size);  // a hole: it takes no space
  };
  const auto ours = cache_path(*w), theirs = dir / "torch/hub/checkpoints/resnet18-f37072fd.pth";
  make(theirs, 1000);
  EXPECT_EQ(find_cached(*w), std::nullopt) << "of another size";
  make(theirs, 46'830'571);
  EXPECT_EQ(find_cached(*w), theirs);
  make(ours, 46'830'571);
  EXPECT_EQ(find_cached(*w), ours);
}

TEST(Catalogue, Fetches) {
  TempDir dir;
  const std::string content(100'000, 'w');
  const HttpServer server([&](const auto& request, auto& connection) { connection.serve(request, content); });
  const Environment cache("XDG_CACHE_HOME", (dir / "cache").string()), mirror("LIMPID_WEIGHTS_URL", server.url("/mirror"));
  PublishedWeights w = *find_published("resnet18");
  w.bytes = content.size() + 200;  // the table is precise to `bytes_off`
  put(dir / "content", content);
  w.sha256 = sha256_of(dir / "content").substr(0, 8);
  EXPECT_EQ(fetch(w), cache_path(w));
  EXPECT_EQ(get(cache_path(w)), content);
  EXPECT_EQ(server.requests()[0].path, "/mirror/resnet18-f37072fd.pth");
  EXPECT_EQ(find_cached(w), cache_path(w));
  fetch(w);
  EXPECT_EQ(server.requests().size(), 1u);
  put(cache_path(w), std::string(content.size(), 'x'));
  fetch(w);
  EXPECT_EQ(get(cache_path(w)), content) << "a damaged file is fetched again";
}

}  // namespace
}  // namespace limpid::testing
