#pragma once
// Loops over independent items on the threads of the current ThreadScope.
#include <cstdint>

namespace limpid {

/// The number of threads that parallel loops (ours and oneDNN's) use while it lives; 0 keeps the current number.
class ThreadScope {
 public:
  explicit ThreadScope(int threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int previous_;
};

int thread_count();

/// f(i) for every i in [0, n). f must not throw; items are dealt in equal, contiguous shares.
template <class F>
void parallel_for(std::int64_t n, F&& f) {
#pragma omp parallel for schedule(static) if (n > 1)
  for (std::int64_t i = 0; i < n; ++i) f(i);
}

}  // namespace limpid
