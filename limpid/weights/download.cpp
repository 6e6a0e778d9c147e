#include <limpid/runtime/error.h>
#include <limpid/runtime/version.h>
#include <limpid/weights/curl_library.h>
#include <limpid/weights/download.h>
#include <limpid/weights/excerpt.h>
#include <limpid/weights/part_file.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>

namespace limpid {
namespace {

struct CurlFree {
  void operator()(CURL* p) const { curl_library().easy_cleanup(p); }
  void operator()(CURLU* p) const { curl_library().url_cleanup(p); }
  void operator()(char* p) const { curl_library().free(p); }
};

CURL* new_handle() {
  CURL* handle = curl_library().easy_init();
  if (!handle) fail(ErrorCode::internal, "libcurl cannot be started.");
  return handle;
}

std::string part_of(const std::string& url, CURLUPart part) {
  const CurlLibrary& curl = curl_library();
  const std::unique_ptr<CURLU, CurlFree> parsed(curl.url());
  char* text = nullptr;
  if (!parsed || curl.url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK || curl.url_get(parsed.get(), part, &text, 0) != CURLUE_OK) return "";
  return std::unique_ptr<char, CurlFree>(text).get();
}

std::string host_of(const std::string& url) { return part_of(url, CURLUPART_HOST); }

/// Plain http can be changed on its way, and of some files only eight digits of the digest are known: so it is good for this machine alone.
bool is_trusted(const std::string& url) {
  const std::string scheme = part_of(url, CURLUPART_SCHEME), host = host_of(url);
  return scheme == "https" || (scheme == "http" && (host == "localhost" || host == "127.0.0.1" || host == "[::1]"));
}

std::string megabytes(std::uint64_t bytes) {
  const std::uint64_t tenths = (bytes * 10 + (1u << 19)) >> 20;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MiB";
}

/// One file's way from the server into the part file, over as many connections as it takes.
class Transfer {
 public:
  Transfer(const Download& what, const DownloadOptions& options, PartFile& part)
      : what_(what), options_(options), part_(part), url_(what.url), handle_(new_handle()) {}

  /// Until the server has sent all that it has.
  void run() {
    int fruitless = 0, redirections = 0, restarts = 0;
    for (;;) {
      stop_if_cancelled();
      const std::uint64_t before = part_.size();
      const CURLcode result = perform();
      if (failure_) std::rethrow_exception(failure_);
      long status = 0;
      curl_.easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &status);
      if (status >= 300 && status < 400 && status != 304) {
        if (++redirections > 5) fail(ErrorCode::io, host_of(what_.url), " redirects too often. Try again later, or name another mirror in LIMPID_WEIGHTS_URL.");
        follow();
        continue;
      }
      stop_if_cancelled();
      if (status == 416 && part_.size() > 0 && ++restarts < options_.tries) {  // the server's file is shorter than the part: it is another one
        part_.restart();
        continue;
      }
      const bool sent = result == CURLE_OK && (status == 200 || status == 206);
      if (sent && part_.size() >= what_.least_bytes) return;
      if (!sent && !is_passing(result, status)) refuse(result, status);
      fruitless = part_.size() > before ? 1 : fruitless + 1;
      if (fruitless >= options_.tries) refuse(result, status);
      pause();
    }
  }

 private:
  CURLcode perform() {
    CURL* h = handle_.get();
    curl_.easy_reset(h);
    failure_ = nullptr;
    begun_ = false;
    discarded_ = 0;
    range_start_.reset();
    asked_from_ = part_.size();
    error_.fill('\0');
    const std::string agent = "limpid/" + std::string(version()), range = std::to_string(asked_from_) + "-";
    curl_.easy_setopt(h, CURLOPT_URL, url_.c_str());
    curl_.easy_setopt(h, CURLOPT_USERAGENT, agent.c_str());
    curl_.easy_setopt(h, CURLOPT_PROTOCOLS_STR, "https,http");
    if (part_of(url_, CURLUPART_SCHEME) == "http") curl_.easy_setopt(h, CURLOPT_PROXY, "");  // a proxy would carry it over an open line
    if (asked_from_ > 0) curl_.easy_setopt(h, CURLOPT_RANGE, range.c_str());
    curl_.easy_setopt(h, CURLOPT_FAILONERROR, 1L);
    curl_.easy_setopt(h, CURLOPT_ERRORBUFFER, error_.data());
    curl_.easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_.easy_setopt(h, CURLOPT_CONNECTTIMEOUT, static_cast<long>(options_.stall_seconds));
    curl_.easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_.easy_setopt(h, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.stall_seconds));
    curl_.easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_.easy_setopt(h, CURLOPT_XFERINFODATA, this);
    curl_.easy_setopt(
        h, CURLOPT_XFERINFOFUNCTION, +[](void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
          return static_cast<Transfer*>(self)->guarded([](Transfer& t) { t.report(); }) ? 0 : 1;
        });
    curl_.easy_setopt(h, CURLOPT_HEADERDATA, this);
    curl_.easy_setopt(
        h, CURLOPT_HEADERFUNCTION, +[](char* text, std::size_t, std::size_t size, void* self) {
          static_cast<Transfer*>(self)->header({text, size});
          return size;
        });
    curl_.easy_setopt(h, CURLOPT_WRITEDATA, this);
    curl_.easy_setopt(
        h, CURLOPT_WRITEFUNCTION, +[](char* data, std::size_t, std::size_t size, void* self) {
          bool wanted = false;
          const bool good = static_cast<Transfer*>(self)->guarded([&](Transfer& t) { wanted = t.take({reinterpret_cast<const std::byte*>(data), size}); });
          return good && wanted ? size : std::size_t{0};
        });
    return curl_.easy_perform(h);
  }

  /// No exception may pass through libcurl: it is kept, and thrown when libcurl has returned.
  template <class F>
  bool guarded(F&& f) noexcept {
    try {
      f(*this);
      return !(options_.cancel && options_.cancel->cancelled());
    } catch (...) {
      failure_ = std::current_exception();
      return false;
    }
  }

  void report() {
    if (options_.progress && begun_) options_.progress(part_.size(), std::max(total_, part_.size()));
  }

  /// Content-Range: bytes FIRST-LAST/TOTAL
  void header(std::string_view line) {
    constexpr std::string_view name = "content-range: bytes ";
    if (line.size() < name.size()) return;
    const bool same = std::equal(name.begin(), name.end(), line.begin(), [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b + 32 : b); });
    std::uint64_t first = 0;
    if (same && std::from_chars(line.data() + name.size(), line.data() + line.size(), first).ec == std::errc{}) range_start_ = first;
  }

  /// Writes the bytes to the file; passes over a redirection's text. False for what nobody needs.
  bool take(std::span<const std::byte> bytes) {
    if (!begun_) {
      long status = 0;
      curl_.easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &status);
      if (status >= 300 && status < 400) return (discarded_ += bytes.size()) < 1u << 20;  // libcurl tells where to only at the answer's end
      if (status != 200 && status != 206) return false;
      if (status == 200 && part_.size() > 0) part_.restart();  // the server does not resume
      if (status == 206 && range_start_ != asked_from_)
        fail(ErrorCode::bad_file, host_of(url_), " sends another part of ", what_.target.filename().string(),
             " than was asked for. Try again later, or name another mirror in LIMPID_WEIGHTS_URL.");
      curl_off_t length = -1;
      curl_.easy_getinfo(handle_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
      total_ = length < 0 ? what_.most_bytes : part_.size() + static_cast<std::uint64_t>(length);
      if (length >= 0 && (total_ < what_.least_bytes || total_ > what_.most_bytes)) refuse_size(std::to_string(total_) + " bytes");
      begun_ = true;
    }
    if (bytes.size() > what_.most_bytes - std::min(part_.size(), what_.most_bytes)) refuse_size("more");
    part_.append(bytes);
    return true;
  }

  void follow() {
    char* text = nullptr;
    curl_.easy_getinfo(handle_.get(), CURLINFO_REDIRECT_URL, &text);
    if (!text) fail(ErrorCode::io, host_of(url_), " redirects to nowhere. Try again later, or name another mirror in LIMPID_WEIGHTS_URL.");
    const std::string next = text;
    if (!is_trusted(next))
      fail(ErrorCode::io, host_of(url_), " redirects to ", excerpt(next), ", which is not https. Name another mirror in LIMPID_WEIGHTS_URL.");
    url_ = next;
  }

  /// What another try may mend: a connection that broke or stood still, a server that is busy.
  static bool is_passing(CURLcode result, long status) {
    switch (result) {
      case CURLE_PARTIAL_FILE:
      case CURLE_RECV_ERROR:
      case CURLE_SEND_ERROR:
      case CURLE_GOT_NOTHING:
      case CURLE_OPERATION_TIMEDOUT:
      case CURLE_HTTP2:
      case CURLE_HTTP2_STREAM: return true;
      case CURLE_HTTP_RETURNED_ERROR: return status == 408 || status == 429 || status >= 500;
      default: return false;
    }
  }

  [[noreturn]] void refuse_size(const std::string& offered) const {
    fail(ErrorCode::bad_file, host_of(url_), " sends ", offered, " where ", what_.target.filename().string(), " has ", megabytes(what_.most_bytes),
         ": this is another file, perhaps the login page of a network. Open ", what_.url, " in a browser to see.");
  }

  [[noreturn]] void refuse(CURLcode result, long status) const {
    const std::string host = host_of(url_), elsewhere = " Or fetch " + what_.url + " by other means and name the file.";
    const std::string kept = part_.size() ? " " + megabytes(part_.size()) + " have come and are kept; the same call goes on from there." : "";
    long connect = 0;
    curl_.easy_getinfo(handle_.get(), CURLINFO_HTTP_CONNECTCODE, &connect);
    if (result == CURLE_COULDNT_RESOLVE_PROXY || connect >= 400)
      fail(ErrorCode::io, "The proxy that the environment names ",
           connect >= 400 ? "refuses the connection to " + host + " (" + std::to_string(connect) + ")" : "is not to be found",
           ". Correct https_proxy, or unset it.", elsewhere);
    if (result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_CONNECT)
      fail(ErrorCode::io, "Cannot reach ", host, " (", reason(result), "). Is this machine offline? Connect it, or set https_proxy.", elsewhere, kept);
    if (result == CURLE_HTTP_RETURNED_ERROR && status == 404)
      fail(ErrorCode::io, host, " has no file ", url_, " (404). Check LIMPID_WEIGHTS_URL if it is set.", elsewhere);
    if (result == CURLE_HTTP_RETURNED_ERROR) fail(ErrorCode::io, host, " answers with the status ", status, ". Try again later.", elsewhere, kept);
    if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE)
      fail(ErrorCode::io, "The certificate of ", host, " cannot be verified (", reason(result),
           "). Install the system's certificates (Debian: ca-certificates).", elsewhere);
    if (result == CURLE_OK) fail(ErrorCode::io, host, " answers with the status ", status, ", and no file.", elsewhere);
    fail(ErrorCode::io, "The download from ", host, " broke off (", reason(result), "). Try again.", kept.empty() ? elsewhere : kept);
  }

  std::string reason(CURLcode result) const {
    std::string text = error_[0] ? error_.data() : curl_.easy_strerror(result);
    for (char& c : text) c = c >= ' ' && c <= '~' ? c : ' ';
    while (text.ends_with('.') || text.ends_with(' ')) text.pop_back();
    return text;
  }

  void stop_if_cancelled() const {
    if (!options_.cancel || !options_.cancel->cancelled()) return;
    const std::string kept = part_.size() ? " " + megabytes(part_.size()) + " are kept; the same call goes on from there." : "";
    fail(ErrorCode::cancelled, "Cancelled.", kept);
  }

  void pause() const {
    using clock = std::chrono::steady_clock;
    const auto end = clock::now() + std::chrono::duration<double>(options_.pause_seconds);
    while (clock::now() < end) {
      stop_if_cancelled();
      std::this_thread::sleep_for(std::min(std::chrono::duration<double>(0.1), std::chrono::duration<double>(end - clock::now())));
    }
  }

  const CurlLibrary& curl_ = curl_library();
  const Download& what_;
  const DownloadOptions& options_;
  PartFile& part_;
  std::string url_;
  std::unique_ptr<CURL, CurlFree> handle_;
  std::exception_ptr failure_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  std::uint64_t asked_from_ = 0, total_ = 0, discarded_ = 0;
  std::optional<std::uint64_t> range_start_;
  bool begun_ = false;
};

void require_space(const Download& what, const PartFile& part) {
  std::error_code unknown;
  const auto space = std::filesystem::space(part.path().parent_path(), unknown);
  const std::uint64_t needed = what.least_bytes - std::min(what.least_bytes, part.size());
  if (!unknown && space.available < needed)
    fail(ErrorCode::io, what.target.parent_path().string(), " has ", megabytes(space.available), " of free space and ", what.target.filename().string(),
         " needs ", megabytes(needed), " more. Free some space, or set XDG_CACHE_HOME to a folder that has some.");
}

/// Whether another call has fetched the file while this one waited for its turn.
bool is_there(const Download& what) {
  std::error_code missing;
  const auto size = std::filesystem::file_size(what.target, missing);
  return !missing && size >= what.least_bytes && size <= what.most_bytes && size > 0 && sha256_of(what.target).starts_with(what.sha256);
}

}  // namespace

void download(const Download& what, const DownloadOptions& options) {
  require(is_trusted(what.url), "The address ", excerpt(what.url),
          " is neither https nor on this machine; nothing is downloaded over an open line. Correct LIMPID_WEIGHTS_URL.");
  std::error_code error;
  const auto folder = what.target.parent_path();
  std::filesystem::create_directories(folder, error);
  if (error)
    fail(ErrorCode::io, "Cannot create the folder ", folder.string(), ": ", error.message(), ". Set XDG_CACHE_HOME to a folder that you may write to.");

  PartFile part(what.target, options.cancel);
  if (is_there(what)) return;
  if (part.size() > what.most_bytes) part.restart();
  for (bool resumed = part.size() > 0;; resumed = false) {
    require_space(what, part);
    // A part of the least size may be the whole file, from a call that was stopped before it could say so.
    if (part.size() < what.least_bytes || !resumed) Transfer(what, options, part).run();
    const std::uint64_t size = part.size();
    const std::string digest = part.digest();
    const bool right_size = size >= what.least_bytes && size <= what.most_bytes;
    if (right_size && digest.starts_with(what.sha256)) break;
    part.restart();
    if (resumed) continue;  // the beginning may be of another file: once more, from nothing
    const std::string host = host_of(what.url), file = what.target.filename().string();
    if (!right_size)
      fail(ErrorCode::bad_file, host, " sends ", size, " bytes where ", file, " has ", megabytes(what.most_bytes), ". Nothing is kept; try again later.");
    fail(ErrorCode::bad_file, "What ", host, " sends is not ", file, ": its SHA-256 begins with ", digest.substr(0, 16), ", not ", what.sha256.substr(0, 16),
         ". Nothing is kept; try again later, or name another mirror in LIMPID_WEIGHTS_URL.");
  }
  part.commit();
}

}  // namespace limpid
