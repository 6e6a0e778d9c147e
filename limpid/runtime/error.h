#pragma once
// One exception type for the whole library. The message is one sentence (or two) that says what is wrong, where, and what to do.
#include <sstream>
#include <stdexcept>
#include <string>

namespace limpid {

enum class ErrorCode {
  invalid_argument,  // the caller asked for something that cannot be: a shape, a name, an option
  not_found,         // a file, a tensor, a layer or a device that is not there
  bad_file,          // a file that is not what it claims to be
  io,                // the system refused: permission, full disk, broken pipe
  out_of_memory,     // the budget or the machine does not suffice
  unsupported,       // valid, but not by this build or device
  cancelled,         // the caller's CancelToken was raised
  internal,          // a broken invariant of limpid's own
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// Throws limpid::Error with the parts streamed into one message.
template <class... Parts>
[[noreturn]] void fail(ErrorCode code, const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Error(code, text.str());
}

/// Throws invalid_argument with the parts as its message unless `condition` holds.
template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) fail(ErrorCode::invalid_argument, parts...);
}

}  // namespace limpid
