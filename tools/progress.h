#pragma once
// A bar on stderr while a run goes on: on a terminal only, and never with --quiet.
#include <limpid/runtime/executable.h>

#include <string>

class Progress {
 public:
  /// `title` stands before the bar.
  Progress(std::string title, bool quiet);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Wipes the bar's line.
  ~Progress();

  /// What a run needs to draw this bar and to hear of Ctrl-C. The bar must outlive the run.
  limpid::RunOptions run_options();

 private:
  void draw(double fraction);

  std::string title_;
  bool shown_;
  int drawn_ = -1;  // the percentage on the screen
};
