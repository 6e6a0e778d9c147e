#include <limpid/runtime/error.h>
#include <limpid/weights/curl_library.h>

#include <dlfcn.h>

namespace limpid {
namespace {

CurlLibrary load() {
  void* library = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    fail(ErrorCode::unsupported,
         "Downloading needs libcurl.so.4, which this system does not have (Debian: libcurl4). Install it, or fetch the file by other means.");
  const auto find = [&]<class F>(F*& function, const char* name) {
    function = reinterpret_cast<F*>(::dlsym(library, name));
    if (!function)
      fail(ErrorCode::unsupported, "This system's libcurl is too old: it has no ", name, ". Install 7.85 or later, or fetch the file by other means.");
  };
  CurlLibrary c{};
  find(c.global_init, "curl_global_init");
  find(c.easy_init, "curl_easy_init");
  find(c.easy_reset, "curl_easy_reset");
  find(c.easy_setopt, "curl_easy_setopt");
  find(c.easy_perform, "curl_easy_perform");
  find(c.easy_getinfo, "curl_easy_getinfo");
  find(c.easy_cleanup, "curl_easy_cleanup");
  find(c.easy_strerror, "curl_easy_strerror");
  find(c.url, "curl_url");
  find(c.url_set, "curl_url_set");
  find(c.url_get, "curl_url_get");
  find(c.url_cleanup, "curl_url_cleanup");
  find(c.free, "curl_free");
  if (c.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) fail(ErrorCode::internal, "libcurl cannot be started.");
  return c;
}

}  // namespace

const CurlLibrary& curl_library() {
  static const CurlLibrary library = load();
  return library;
}

}  // namespace limpid
