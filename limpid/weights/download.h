#pragma once
// One file from the network, checked before it gets its name.
#include <limpid/runtime/executable.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace limpid {

struct Download {
  std::string url;  // https; http from this machine only (localhost, 127.0.0.1, [::1])
  std::filesystem::path target;
  std::uint64_t least_bytes = 0, most_bytes = 0;  // what the file's size may be
  std::string sha256;                             // the digest in lower-case hexadecimal, or the digits that it begins with
};

struct DownloadOptions {
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // bytes; total as the server says
  const CancelToken* cancel = nullptr;
  int tries = 4;             // in a row without a new byte
  double pause_seconds = 1;  // between them
  int stall_seconds = 30;    // a connection over which nothing comes for so long is given up
};

/// Fetches by libcurl into TARGET.part, goes on where an earlier call stopped, and renames the file when its size and digest are right.
/// Redirections are followed to https only (to this machine also in http), five at most. Proxies are taken from the environment
/// (https_proxy, no_proxy, ...); none stands between this machine and itself. Two calls for one target, of this process or another, take turns.
/// Throws io (offline, refused, full disk; what has come stays for the next call), bad_file (the server sends another file: nothing stays),
/// cancelled, invalid_argument (a URL that is neither https nor of this machine).
void download(const Download& what, const DownloadOptions& options = {});

}  // namespace limpid
