#include <limpid/runtime/parallel.h>

#include <omp.h>

namespace limpid {

ThreadScope::ThreadScope(int threads) : previous_(omp_get_max_threads()) {
  if (threads > 0) omp_set_num_threads(threads);
}
ThreadScope::~ThreadScope() { omp_set_num_threads(previous_); }

int thread_count() { return omp_get_max_threads(); }

}  // namespace limpid
