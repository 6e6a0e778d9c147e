#pragma once
// An HTTP server on 127.0.0.1 that does what a test tells it to: serve, cut short, stand still, lie.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <functional>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace limpid::testing {

struct HttpRequest {
  std::string method, path;
  std::map<std::string, std::string> headers;  // names in lower case
  std::size_t number = 0;                      // how many came before it
  /// The N of "Range: bytes=N-"; 0 without one.
  std::size_t first_byte() const {
    const auto range = headers.find("range");
    return range == headers.end() ? 0 : std::stoul(range->second.substr(6));
  }
};

class HttpConnection {
 public:
  HttpConnection(int descriptor, const std::atomic<bool>& ending) : descriptor_(descriptor), ending_(ending) {}
  /// False when the other side has gone.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  /// A whole answer.
  void answer(const std::string& status, std::string_view body, const std::string& headers = "") {
    send("HTTP/1.1 " + status + "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n");
    send(body);
  }
  /// The file, from the byte that was asked for; `most` bytes of it, whatever the headers say.
  void serve(const HttpRequest& request, std::string_view file, std::size_t most = std::string_view::npos) {
    const std::size_t first = std::min(request.first_byte(), file.size());
    const std::string range =
        "Content-Range: bytes " + std::to_string(first) + "-" + std::to_string(file.size() - 1) + "/" + std::to_string(file.size()) + "\r\n";
    send("HTTP/1.1 " + std::string(first ? "206 Partial Content" : "200 OK") + "\r\nConnection: close\r\n" + (first ? range : "") +
         "Content-Length: " + std::to_string(file.size() - first) + "\r\n\r\n");
    send(file.substr(first, most));
  }
  /// Sends nothing until the other side goes or the server ends.
  void stall() {
    while (!ending_) {
      pollfd wait{descriptor_, POLLIN, 0};
      char byte = 0;
      if (::poll(&wait, 1, 20) > 0 && ::recv(descriptor_, &byte, 1, 0) <= 0) return;
    }
  }

 private:
  int descriptor_;
  const std::atomic<bool>& ending_;
};

class HttpServer {
 public:
  using Handler = std::function<void(const HttpRequest&, HttpConnection&)>;

  explicit HttpServer(Handler handler) : handler_(std::move(handler)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_, plain, size) != 0 || ::listen(listener_, 16) != 0 || ::getsockname(listener_, plain, &size) != 0)
      throw std::runtime_error("tests: cannot listen on 127.0.0.1");
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer() {
    ending_ = true;
    accepting_.join();
    for (auto& thread : answering_) thread.join();
    ::close(listener_);
  }

  std::string url(const std::string& path = "/") const { return "http://127.0.0.1:" + std::to_string(port_) + path; }
  std::vector<HttpRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void accept_all() {
    while (!ending_) {
      pollfd wait{listener_, POLLIN, 0};
      if (::poll(&wait, 1, 20) <= 0) continue;
      const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (descriptor >= 0) answering_.emplace_back([this, descriptor] { answer(descriptor); });
    }
  }
  void answer(int descriptor) {
    std::string head;
    char byte = 0;
    while (!head.ends_with("\r\n\r\n") && head.size() < 10'000 && ::recv(descriptor, &byte, 1, 0) == 1) head += byte;
    if (head.ends_with("\r\n\r\n")) {
      HttpRequest request = parse(head);
      {
        const std::lock_guard lock(mutex_);
        request.number = requests_.size();
        requests_.push_back(request);
      }
      HttpConnection connection(descriptor, ending_);
      handler_(request, connection);
    }
    ::shutdown(descriptor, SHUT_WR);
    ::close(descriptor);
  }
  static HttpRequest parse(const std::string& head) {
    HttpRequest request;
    std::size_t line = head.find("\r\n");
    const std::string first = head.substr(0, line);
    request.method = first.substr(0, first.find(' '));
    request.path = first.substr(request.method.size() + 1, first.rfind(' ') - request.method.size() - 1);
    while (line + 2 < head.size()) {
      const std::size_t begin = line + 2, end = head.find("\r\n", begin), colon = head.find(':', begin);
      line = end;
      if (end == begin || end == std::string::npos) break;
      std::string name = head.substr(begin, colon - begin);
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      request.headers[name] = head.substr(std::min(colon + 2, end), end - std::min(colon + 2, end));
    }
    return request;
  }

  const Handler handler_;
  const int listener_;
  int port_ = 0;
  std::atomic<bool> ending_{false};
  mutable std::mutex mutex_;
  std::vector<HttpRequest> requests_;
  std::vector<std::thread> answering_;
  std::thread accepting_;
};

}  // namespace limpid::testing
