// Downloads from a server on this machine that cuts short, stands still, lies and redirects.
#include <limpid/weights/download.h>
#include <limpid/weights/sha256.h>

#include <gtest/gtest.h>
#include <tests/support/environment.h>
#include <tests/support/http_server.h>
#include <tests/support/paths.h>
#include <tests/weights/expect_error.h>
#include <tests/weights/files.h>

#include <sys/resource.h>

#include <csignal>

namespace limpid::testing {
namespace {

std::string digest_of(const std::string& bytes) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(bytes)));
  return hash.digest();
}

std::string make_content(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i * 2654435761u) >> 13);
  return bytes;
}

TEST(Sha256, OfTheStandardsExamples) {
  EXPECT_EQ(digest_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

class DownloadTest : public ::testing::Test {
 protected:
  DownloadTest() { options.stall_seconds = 1, options.pause_seconds = 0, options.tries = 3; }

  Download from(const std::string& url) const { return {url, target, content.size(), content.size(), digest_of(content)}; }
  void fetch(const HttpServer& server) const { download(from(server.url("/file.pth")), options); }
  void expect_whole() const {
    EXPECT_EQ(get(target), content);
    EXPECT_EQ(count_files(target.parent_path()), 1u) << "only the file is there";
  }
  void expect_nothing() const { EXPECT_EQ(count_files(target.parent_path()), 0u); }

  TempDir dir;
  const std::filesystem::path target = dir / "cache/limpid/file.pth", part = dir / "cache/limpid/file.pth.part";
  const std::string content = make_content(300'000);
  DownloadOptions options;
};

TEST_F(DownloadTest, WholeFile) {
  const HttpServer server([&](const auto& request, auto& connection) { connection.serve(request, content); });
  std::uint64_t last = 0;
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    EXPECT_GE(done, last);
    EXPECT_EQ(total, content.size());
    last = done;
  };
  fetch(server);
  expect_whole();
  EXPECT_EQ(last, content.size());
  EXPECT_EQ(server.requests()[0].path, "/file.pth");
  EXPECT_TRUE(server.requests()[0].headers.at("user-agent").starts_with("limpid/"));
  fetch(server);
  EXPECT_EQ(server.requests().size(), 1u) << "a file that is there and whole is not fetched again";
}

TEST_F(DownloadTest, GoesOnWhereTheConnectionBroke) {
  const HttpServer server([&](const auto& request, auto& connection) { connection.serve(request, content, 100'000); });
  fetch(server);
  expect_whole();
  ASSERT_EQ(server.requests().size(), 3u);
  EXPECT_EQ(server.requests()[2].headers.at("range"), "bytes=200000-");
}

TEST_F(DownloadTest, TruncatedForGoodKeepsWhatHasComeForTheNextCall) {
  bool mended = false;
  const HttpServer server([&](const auto& request, auto& connection) {
    connection.serve(request, content, mended ? content.size() : request.first_byte() == 0 ? 100'000 : 0);
  });
  expect_error(ErrorCode::io, "0.1 MiB have come and are kept", [&] { fetch(server); });
  EXPECT_EQ(get(part), content.substr(0, 100'000));
  EXPECT_FALSE(std::filesystem::exists(target));
  mended = true;
  fetch(server);
  expect_whole();
  EXPECT_EQ(server.requests().back().headers.at("range"), "bytes=100000-");
}

TEST_F(DownloadTest, TruncatedWithoutALength) {
  const HttpServer server([&](const auto& request, auto& connection) {
    if (request.number > 0) return connection.serve(request, content);
    connection.send("HTTP/1.0 200 OK\r\n\r\n" + content.substr(0, 1000));
  });
  fetch(server);
  expect_whole();
}

TEST_F(DownloadTest, StandsStill) {
  const HttpServer server([&](const auto& request, auto& connection) {
    if (request.number > 0) return connection.serve(request, content);
    connection.serve(request, content, 1000);
    connection.stall();
  });
  fetch(server);
  expect_whole();
  EXPECT_EQ(server.requests()[1].headers.at("range"), "bytes=1000-");
}

TEST_F(DownloadTest, StandsStillForGood) {
  const HttpServer server([&](const auto&, auto& connection) { connection.stall(); });
  options.tries = 1;
  expect_error(ErrorCode::io, "The download from 127.0.0.1 broke off", [&] { fetch(server); });
  expect_nothing();
}

TEST_F(DownloadTest, LiesAboutTheContent) {
  const HttpServer server([&](const auto& request, auto& connection) { connection.serve(request, std::string(content.size(), 'x')); });
  expect_error(ErrorCode::bad_file, "its SHA-256 begins with", [&] { fetch(server); });
  expect_nothing();
}

TEST_F(DownloadTest, LiesAboutTheSize) {
  const HttpServer server([&](const auto&, auto& connection) { connection.answer("200 OK", "<html>Log in to the network</html>"); });
  expect_error(ErrorCode::bad_file, "sends 34 bytes where file.pth has 0.3 MiB: this is another file", [&] { fetch(server); });
  expect_nothing();
}

TEST_F(DownloadTest, NeverEnds) {
  const HttpServer server([&](const auto&, auto& connection) {
    connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    while (connection.send(content)) continue;
  });
  expect_error(ErrorCode::bad_file, "sends more", [&] { fetch(server); });
  EXPECT_LE(std::filesystem::exists(part) ? std::filesystem::file_size(part) : 0, content.size());
}

TEST_F(DownloadTest, EmptyAnswer) {
  const HttpServer server([&](const auto&, auto& connection) { connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"); });
  expect_error(ErrorCode::io, "127.0.0.1", [&] { fetch(server); });
  expect_nothing();
}

TEST_F(DownloadTest, SaysNothing) {
  const HttpServer server([&](const auto&, auto&) {});
  expect_error(ErrorCode::io, "broke off", [&] { fetch(server); });
  EXPECT_EQ(server.requests().size(), 3u);
  expect_nothing();
}

TEST_F(DownloadTest, FollowsRedirections) {
  const HttpServer server([&](const auto& request, auto& connection) {
    if (request.path == "/moved") return connection.serve(request, content);
    connection.answer("302 Found", "over there", "Location: /moved\r\n");
  });
  fetch(server);
  expect_whole();
  EXPECT_EQ(server.requests()[1].path, "/moved");
}

TEST_F(DownloadTest, RedirectsInACircle) {
  const HttpServer server([&](const auto&, auto& connection) { connection.answer("301 Moved", "", "Location: /file.pth\r\n"); });
  expect_error(ErrorCode::io, "redirects too often", [&] { fetch(server); });
  EXPECT_EQ(server.requests().size(), 6u);
  expect_nothing();
}

TEST_F(DownloadTest, RedirectsToAnOpenLine) {
  for (const std::string place : {"http://example.com/file.pth", "http://127.0.0.1.example.com/file.pth", "ftp://example.com/file.pth", "file:///etc/passwd"}) {
    const HttpServer server([&](const auto&, auto& connection) { connection.answer("302 Found", "", "Location: " + place + "\r\n"); });
    expect_error(ErrorCode::io, "which is not https", [&] { fetch(server); });
    expect_nothing();
  }
}

TEST_F(DownloadTest, ServerThatCannotResume) {
  std::filesystem::create_directories(target.parent_path());
  put(part, content.substr(0, 5000));
  const HttpServer server([&](const auto&, auto& connection) { connection.answer("200 OK", content); });
  fetch(server);
  expect_whole();
  EXPECT_EQ(server.requests()[0].headers.at("range"), "bytes=5000-");
}

TEST_F(DownloadTest, SendsAnotherPart) {
  std::filesystem::create_directories(target.parent_path());
  put(part, content.substr(0, 5000));
  const HttpServer server(
      [&](const auto&, auto& connection) { connection.answer("206 Partial Content", content.substr(4000), "Content-Range: bytes 4000-299999/300000\r\n"); });
  expect_error(ErrorCode::bad_file, "another part of file.pth", [&] { fetch(server); });
  EXPECT_EQ(get(part), content.substr(0, 5000));
}

TEST_F(DownloadTest, PartOfAnotherFileIsFetchedAnew) {
  std::filesystem::create_directories(target.parent_path());
  for (const std::size_t size : {std::size_t{5000}, content.size(), content.size() + 10}) {
    std::filesystem::remove(target);
    put(part, std::string(size, 'x'));
    const HttpServer server([&](const auto& request, auto& connection) { connection.serve(request, content); });
    fetch(server);
    expect_whole();
  }
}

TEST_F(DownloadTest, PartThatIsWholeNeedsNoServer) {
  std::filesystem::create_directories(target.parent_path());
  put(part, content);
  const HttpServer server([&](const auto& request, auto& connection) { connection.serve(request, content); });
  fetch(server);
  expect_whole();
  EXPECT_TRUE(server.requests().empty());
}

TEST_F(DownloadTest, RangeThatDoesNotExist) {
  std::filesystem::create_directories(target.parent_path());
  put(part, content.substr(0, 5000));
  const HttpServer server([&](const auto& request, auto& connection) {
    if (request.first_byte()) connection.answer("416 Range Not Satisfiable", "");
    else connection.serve(request, content);
  });
  fetch(server);
  expect_whole();
}

TEST_F(DownloadTest, ErrorsOfTheServer) {
  int status = 500;
  std::size_t bad = 2;
  const HttpServer server([&](const auto& request, auto& connection) {
    if (request.number >= bad) return connection.serve(request, content);
    connection.answer(std::to_string(status) + " No", std::string(content.size(), 'x'));
  });
  fetch(server);  // the third time it works
  expect_whole();
  std::filesystem::remove(target);
  bad = 1000;
  expect_error(ErrorCode::io, "answers with the status 500. Try again later", [&] { fetch(server); });
  status = 404;
  const auto before = server.requests().size();
  expect_error(ErrorCode::io, "has no file http://127.0.0.1", [&] { fetch(server); });
  EXPECT_EQ(server.requests().size(), before + 1) << "another try would not help";
  expect_nothing();
}

TEST_F(DownloadTest, Offline) {
  std::string url;
  {
    const HttpServer server([](const auto&, auto&) {});
    url = server.url("/file.pth");
  }
  expect_error(ErrorCode::io, "Cannot reach 127.0.0.1", [&] { download(from(url), options); });
  expect_error(ErrorCode::io, "Is this machine offline? Connect it, or set https_proxy. Or fetch http://127.0.0.1", [&] { download(from(url), options); });
  expect_nothing();
}

TEST_F(DownloadTest, OpenLinesAreRefused) {
  for (const char* url : {"http://example.com/file.pth", "http://localhost.example.com/", "ftp://127.0.0.1/x", "file:///etc/passwd", "", "nonsense",
                          "http://127.0.0.1@example.com/"})
    expect_error(ErrorCode::invalid_argument, "neither https nor on this machine", [&] { download(from(url), options); });
  EXPECT_FALSE(std::filesystem::exists(dir / "cache"));
}

TEST_F(DownloadTest, ProxyOfTheEnvironment) {
  const HttpServer proxy([](const auto&, auto& connection) { connection.answer("403 Forbidden", ""); });
  const Environment environment("https_proxy", proxy.url()), all("no_proxy", std::nullopt);
  expect_error(ErrorCode::io, "The proxy that the environment names refuses the connection to weights.example (403)",
               [&] { download(from("https://weights.example/file.pth"), options); });
  ASSERT_EQ(proxy.requests().size(), 1u);
  EXPECT_EQ(proxy.requests()[0].method, "CONNECT");
  EXPECT_EQ(proxy.requests()[0].path, "weights.example:443");
}

TEST_F(DownloadTest, NoProxyBetweenThisMachineAndItself) {
  const HttpServer proxy([](const auto&, auto& connection) { connection.answer("403 Forbidden", ""); });
  const HttpServer server([&](const auto& request, auto& connection) { connection.serve(request, content); });
  const Environment environment("http_proxy", proxy.url()), all("no_proxy", std::nullopt);
  fetch(server);
  expect_whole();
  EXPECT_TRUE(proxy.requests().empty());
}

TEST_F(DownloadTest, CancelledKeepsWhatHasCome) {
  CancelToken token;
  options.cancel = &token;
  options.stall_seconds = 30;
  const HttpServer server([&](const auto& request, auto& connection) {
    if (token.cancelled()) return connection.serve(request, content);
    connection.serve(request, content, 200'000);
    connection.stall();
  });
  std::thread waiting([&] {
    while (!std::filesystem::exists(part) || std::filesystem::file_size(part) < 200'000) std::this_thread::yield();
    token.cancel();
  });
  expect_error(ErrorCode::cancelled, "0.2 MiB are kept", [&] { fetch(server); });
  waiting.join();
  EXPECT_EQ(get(part), content.substr(0, 200'000));
  options.cancel = nullptr;
  fetch(server);
  expect_whole();
}

TEST_F(DownloadTest, WriteThatFails) {
  const HttpServer server([&](const auto& request, auto& connection) { connection.serve(request, content); });
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const rlimit small{100'000, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string message;
  try {
    fetch(server);
  } catch (const Error& error) { message = error.what(); }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  EXPECT_NE(message.find("Cannot write " + part.string() + ": File too large"), std::string::npos) << message;
  EXPECT_FALSE(std::filesystem::exists(target));
  fetch(server);
  expect_whole();
}

TEST_F(DownloadTest, TooLittleSpace) {
  const HttpServer server([&](const auto& request, auto& connection) { connection.serve(request, content); });
  Download huge = from(server.url("/file.pth"));
  huge.least_bytes = huge.most_bytes = std::uint64_t{1} << 60;
  expect_error(ErrorCode::io, "of free space and file.pth needs", [&] { download(huge, options); });
  EXPECT_TRUE(server.requests().empty());
  expect_nothing();
}

TEST_F(DownloadTest, FolderThatCannotBe) {
  put(dir / "cache", "a file");
  const HttpServer server([&](const auto& request, auto& connection) { connection.serve(request, content); });
  expect_error(ErrorCode::io, "Cannot create the folder", [&] { fetch(server); });
}

TEST_F(DownloadTest, TwoAtATimeTakeTurns) {
  const HttpServer server([&](const auto& request, auto& connection) { connection.serve(request, content); });
  std::thread other([&] { fetch(server); });
  fetch(server);
  other.join();
  expect_whole();
  EXPECT_EQ(server.requests().size(), 1u) << "the second finds what the first has fetched";
}

}  // namespace
}  // namespace limpid::testing
