#include "weights_download.h"

#include "console.h"
#include "interrupt.h"
#include "progress.h"

using namespace limpid;

std::string description_of(const PublishedWeights& weights) { return "torchvision's " + weights.enumerator + format(", %.1f %% top-1", weights.top1); }

std::filesystem::path download_weights(const PublishedWeights& weights, bool quiet) {
  if (!quiet)
    complain("fetching " + weights.name + " (" + description_of(weights) + "): " + bytes_text(weights.bytes) + " from " + url_of(weights) + " to " +
             cache_path(weights).parent_path().string());
  Progress bar(weights.name + ", " + bytes_text(weights.bytes), quiet);
  const RunOptions run = bar.run_options();
  DownloadOptions options;
  options.cancel = run.cancel;
  if (run.progress)
    options.progress = [&](std::uint64_t done, std::uint64_t total) { run.progress(total ? static_cast<double>(done) / static_cast<double>(total) : 0); };
  return fetch(weights, options);
}
