#include "interrupt.h"

#include <csignal>

namespace {
limpid::CancelToken token;
}

void watch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { token.cancel(); };
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);  // the second one finds the system's handler
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction old {};
    if (sigaction(signal, nullptr, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);
  }
}

const limpid::CancelToken& cancel_token() { return token; }

void stop_if_cancelled() {
  if (token.cancelled()) limpid::fail(limpid::ErrorCode::cancelled, "Cancelled.");
}
