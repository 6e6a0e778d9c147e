#pragma once
// libcurl, loaded when the first download begins. Linked, it and the thirty libraries behind it would add 9 ms to every start of a program
// that downloads once in its life (measured: `limpid --version` takes 15 instead of 6 ms of processor time).
#define CURL_DISABLE_TYPECHECK 1  // its macros would stand in the way of calls through pointers
#include <curl/curl.h>

namespace limpid {

struct CurlLibrary {
  decltype(&curl_global_init) global_init;
  decltype(&curl_easy_init) easy_init;
  decltype(&curl_easy_reset) easy_reset;
  decltype(&curl_easy_setopt) easy_setopt;
  decltype(&curl_easy_perform) easy_perform;
  decltype(&curl_easy_getinfo) easy_getinfo;
  decltype(&curl_easy_cleanup) easy_cleanup;
  decltype(&curl_easy_strerror) easy_strerror;
  decltype(&curl_url) url;
  decltype(&curl_url_set) url_set;
  decltype(&curl_url_get) url_get;
  decltype(&curl_url_cleanup) url_cleanup;
  decltype(&curl_free) free;
};

/// Initialised, and loaded for good. Throws unsupported when the system has none.
const CurlLibrary& curl_library();

}  // namespace limpid
