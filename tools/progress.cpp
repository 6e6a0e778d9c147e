#include "progress.h"

#include "console.h"
#include "interrupt.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

Progress::Progress(std::string title, bool quiet) : title_(printable(title)), shown_(!quiet && ::isatty(STDERR_FILENO)) {}

Progress::~Progress() {
  if (drawn_ >= 0) std::fputs("\r\x1b[K", stderr);  // back to the line's start, erase to its end
}

limpid::RunOptions Progress::run_options() {
  limpid::RunOptions options;
  if (shown_) options.progress = [this](double fraction) { draw(fraction); };
  options.cancel = &cancel_token();
  return options;
}

void Progress::draw(double fraction) {
  const int percent = static_cast<int>(100 * std::clamp(fraction, 0.0, 1.0));
  if (percent == drawn_) return;
  drawn_ = percent;
  constexpr int width = 30;
  const int filled = percent * width / 100;
  const std::string bar = std::string(static_cast<std::size_t>(filled), '#') + std::string(static_cast<std::size_t>(width - filled), '.');
  std::fprintf(stderr, "\r%s [%s] %3d %%\x1b[K", title_.c_str(), bar.c_str(), percent);
}
