// The stand-in itself: every rule of the device that it watches, broken once; and that what keeps the rules computes what it should.
#include "on_host.h"

#include <gtest/gtest.h>
#include <limpid/cuda/launch.h>
#include <limpid/runtime/error.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <set>
#include <thread>

namespace limpid::cuda {
namespace {

using on_host::Trap;

/// Runs f, which must trap with words that hold `part`.
template <class F>
void traps(F&& f, const std::string& part) {
  try {
    f();
    ADD_FAILURE() << "nothing trapped; expected: " << part;
  } catch (const Trap& trap) {
    EXPECT_NE(std::string(trap.what()).find(part), std::string::npos) << trap.what();
  }
}

template <class T>
std::vector<T> fetch(Stream& stream, const DeviceMemory& memory, std::size_t n) {
  std::vector<T> host(n);
  stream.download(host.data(), memory.data(), n * sizeof(T));
  stream.synchronize();
  return host;
}
template <class T>
void put(Stream& stream, DeviceMemory& memory, const std::vector<T>& host) {
  stream.upload(memory.data(), host.data(), host.size() * sizeof(T));
  stream.synchronize();
}
template <class T>
T* as(const DeviceMemory& memory, std::size_t offset_bytes = 0) { return reinterpret_cast<T*>(memory.data() + offset_bytes); }

std::vector<float> count_up(std::size_t n) {
  std::vector<float> v(n);
  std::iota(v.begin(), v.end(), 1.0f);
  return v;
}

// ---- Kernels that keep the rules.

__global__ void add_one(const float* from, float* to, std::int64_t n) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) to[i] = from[i] + 1;
}

/// Sum of a block's part of v by shuffles and shared memory.
__global__ void __launch_bounds__(256) block_sums(const float* v, float* sums, int n) {
  __shared__ float of_warp[32];
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  float sum = i < static_cast<unsigned>(n) ? v[i] : 0.0f;
  for (unsigned delta = 16; delta; delta /= 2) sum += __shfl_down_sync(~0u, sum, delta);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x < 32) {
    sum = threadIdx.x < blockDim.x / 32 ? of_warp[threadIdx.x] : 0.0f;
    for (int other = 16; other; other /= 2) sum += __shfl_xor_sync(~0u, sum, other);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
  }
}

/// Transposes tiles of 8x8 through shared memory.
__global__ void transpose(const float* from, float* to, unsigned rows, unsigned columns) {
  __shared__ float tile[8][9];
  const unsigned y = blockIdx.y * 8 + threadIdx.y, x = blockIdx.x * 8 + threadIdx.x;
  if (y < rows && x < columns) tile[threadIdx.y][threadIdx.x] = from[y * columns + x];
  __syncthreads();
  const unsigned ty = blockIdx.x * 8 + threadIdx.y, tx = blockIdx.y * 8 + threadIdx.x;
  if (ty < columns && tx < rows) to[ty * rows + tx] = tile[threadIdx.x][threadIdx.y];
}

__global__ void pack_bits(const float* v, unsigned* words) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x, bits = __ballot_sync(~0u, v[i] > 0);
  if (i % 32 == 0) words[i / 32] = bits;
}

__global__ void copy16(const std::byte* from, std::byte* to) { store16(to + 16 * threadIdx.x, load16(from + 16 * threadIdx.x)); }

__global__ void count_positive(const float* v, int* count, int* most) {
  const int in_block = __syncthreads_count(v[blockIdx.x * blockDim.x + threadIdx.x] > 0);
  if (threadIdx.x == 0) atomicAdd(count, in_block);
  atomicMax(most, static_cast<int>(threadIdx.x));
}

__global__ void last_writer(unsigned* to) { *to = blockIdx.x * blockDim.x + threadIdx.x; }

TEST(StandIn, RunsAKernel) {
  Stream stream(0);
  const DeviceMemory a(0, 4000), b(0, 4000);
  const auto v = count_up(1000);
  stream.upload(a.data(), v.data(), 4000);
  launch(add_one, dim3(4), dim3(256), stream, as<float>(a), as<float>(b), std::int64_t{1000});
  const auto got = fetch<float>(stream, b, 1000);
  for (std::size_t i = 0; i < 1000; ++i) ASSERT_EQ(got[i], v[i] + 1);
}

TEST(StandIn, ShufflesAndBarriersReduce) {
  Stream stream(0);
  DeviceMemory v(0, 1000 * 4), sums(0, 4 * 4);
  put(stream, v, count_up(1000));
  launch(block_sums, dim3(4), dim3(256), stream, as<float>(v), as<float>(sums), 1000);
  const auto got = fetch<float>(stream, sums, 4);
  EXPECT_EQ(std::accumulate(got.begin(), got.end(), 0.0f), 500500.0f);
}

TEST(StandIn, SharedMemoryTransposes) {
  Stream stream(0);
  DeviceMemory from(0, 13 * 21 * 4), to(0, 13 * 21 * 4);
  put(stream, from, count_up(13 * 21));
  launch(transpose, dim3(3, 2), dim3(8, 8), stream, as<float>(from), as<float>(to), 13u, 21u);
  const auto got = fetch<float>(stream, to, 13 * 21);
  for (std::size_t y = 0; y < 13; ++y)
    for (std::size_t x = 0; x < 21; ++x) ASSERT_EQ(got[x * 13 + y], static_cast<float>(y * 21 + x + 1));
}

TEST(StandIn, BallotsCountsAndAtomics) {
  Stream stream(0);
  std::vector<float> v(128, -1.0f);
  for (const std::size_t i : {0, 5, 31, 33, 127}) v[i] = 1;
  DeviceMemory values(0, 512), words(0, 16), count(0, 8);
  put(stream, values, v);
  stream.zero(count.data(), 8);
  launch(pack_bits, dim3(2), dim3(64), stream, as<float>(values), as<unsigned>(words));
  launch(count_positive, dim3(2), dim3(64), stream, as<float>(values), as<int>(count), as<int>(count, 4));
  EXPECT_EQ(fetch<unsigned>(stream, words, 4), (std::vector<unsigned>{0x80000021u, 2u, 0u, 0x80000000u}));
  EXPECT_EQ(fetch<int>(stream, count, 2), (std::vector<int>{5, 63}));
}

TEST(StandIn, AThreadOrderShowsBetweenSeeds) {
  std::set<unsigned> last;
  const auto before = on_host::settings().seed;
  for (unsigned seed = 1; seed <= 6; ++seed) {
    on_host::settings().seed = seed;
    Stream stream(0);
    const DeviceMemory one(0, 4);
    launch(last_writer, dim3(8), dim3(64), stream, as<unsigned>(one));
    last.insert(fetch<unsigned>(stream, one, 1)[0]);
  }
  on_host::settings().seed = before;
  EXPECT_GT(last.size(), 2u) << "a kernel whose result hangs on the order gave the same result with every seed";
}

TEST(StandIn, ManyStreamsRunAtOnce) {
  std::vector<std::thread> threads;
  std::vector<float> sums(4);
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      Stream stream(0);
      DeviceMemory v(0, 1000 * 4), sum(0, 4 * 4);
      put(stream, v, count_up(1000));
      for (int round = 0; round < 20; ++round) launch(block_sums, dim3(4), dim3(256), stream, as<float>(v), as<float>(sum), 1000);
      const auto got = fetch<float>(stream, sum, 4);
      sums[t] = std::accumulate(got.begin(), got.end(), 0.0f);
    });
  for (auto& t : threads) t.join();
  for (const float s : sums) EXPECT_EQ(s, 500500.0f);
}

// ---- Kernels that break one.

__global__ void divergent(float* v) {
  if (threadIdx.x < 5) __syncthreads();
  else __syncthreads();
  v[threadIdx.x] = 1;
}

__global__ void barrier_in_a_branch(float* v) {
  if (threadIdx.x != 7) __syncthreads();
  v[threadIdx.x] = static_cast<float>(__shfl_sync(~0u, static_cast<int>(threadIdx.x), 0));
}

__global__ void missing_barrier(unsigned* v) {
  __shared__ unsigned all[64];
  all[threadIdx.x] = threadIdx.x;
  v[threadIdx.x] = all[63 - threadIdx.x];
}

__global__ void shared_from_the_last_block(float* v) {
  __shared__ float kept;
  if (blockIdx.x == 0 && threadIdx.x == 0) kept = 3;
  __syncthreads();
  v[blockIdx.x] = kept;
}

__global__ void wrong_mask(int* v) { v[threadIdx.x] = __shfl_sync(0xffffu, static_cast<int>(threadIdx.x), 0); }
__global__ void absent_lane(int* v) {
  if (threadIdx.x != 3) v[threadIdx.x] = __shfl_sync(~0u, 1, 3);
}
__global__ void write_at(std::byte* to, std::int64_t offset) { to[offset] = std::byte{1}; }
__global__ void store16_at(std::byte* to, std::int64_t offset) { store16(to + offset, Bytes16{}); }
__global__ void wants_much_shared(float* v) {
  __shared__ float large[16384];
  large[threadIdx.x] = 1;
  __syncthreads();
  v[threadIdx.x] = large[0];
}

TEST(StandInTraps, ADivergentBarrier) {
  Stream stream(0);
  const DeviceMemory v(0, 256);
  launch(divergent, dim3(1), dim3(64), stream, as<float>(v));
  traps([&] { stream.synchronize(); }, "threads wait for each other in different places in divergent, block 0,0,0");
  launch(barrier_in_a_branch, dim3(1), dim3(32), stream, as<float>(v));
  traps([&] { stream.synchronize(); }, "barrier_in_a_branch");
  launch(add_one, dim3(1), dim3(32), stream, as<float>(v), as<float>(v), std::int64_t{32});
  stream.synchronize();  // and the next kernel runs
}

TEST(StandInTraps, AMissingBarrierShows) {
  Stream stream(0);
  const DeviceMemory v(0, 256);
  launch(missing_barrier, dim3(1), dim3(64), stream, as<unsigned>(v));
  const auto got = fetch<unsigned>(stream, v, 64);
  EXPECT_TRUE(std::any_of(got.begin(), got.end(), [](unsigned u) { return u >= 64; }));
}

TEST(StandInTraps, SharedMemoryDoesNotLast) {
  Stream stream(0);
  const DeviceMemory v(0, 256);
  launch(shared_from_the_last_block, dim3(64), dim3(32), stream, as<float>(v));
  const auto got = fetch<float>(stream, v, 64);
  EXPECT_EQ(got[0], 3.0f);
  for (std::size_t i = 1; i < 64; ++i) EXPECT_TRUE(std::isnan(got[i])) << i;
}

TEST(StandInTraps, MasksThatAreWrong) {
  Stream stream(0);
  const DeviceMemory v(0, 256);
  launch(wrong_mask, dim3(1), dim3(32), stream, as<int>(v));
  traps([&] { stream.synchronize(); }, "is not in its own mask ffff in wrong_mask");
  launch(absent_lane, dim3(1), dim3(32), stream, as<int>(v));
  traps([&] { stream.synchronize(); }, "reads lane 3, which does not take part");
}

TEST(StandInTraps, AccessesOf16BytesThatAreNotAligned) {
  Stream stream(0);
  const DeviceMemory a(0, 1024), b(0, 1024);
  launch(copy16, dim3(1), dim3(64), stream, a.data(), b.data());
  stream.synchronize();
  launch(copy16, dim3(1), dim3(4), stream, a.data() + 8, b.data());
  traps([&] { stream.synchronize(); }, "no multiple of 16");
  launch(copy16, dim3(1), dim3(65), stream, a.data(), b.data());
  traps([&] { stream.synchronize(); }, "in copy16, block 0,0,0, thread 64,0,0");
  launch(store16_at, dim3(1), dim3(1), stream, a.data(), std::int64_t{-16});
  traps([&] { stream.synchronize(); }, "outside of device memory");
}

TEST(StandInTraps, ALaunchThatCannotBe) {
  Stream stream(0);
  const DeviceMemory v(0, 65536);
  traps([&] { launch(last_writer, dim3(1), dim3(1025), stream, as<unsigned>(v)); }, "invalid configuration");
  traps([&] { launch(last_writer, dim3(0), dim3(32), stream, as<unsigned>(v)); }, "invalid configuration");
  traps([&] { launch(last_writer, dim3(1, 65536), dim3(32), stream, as<unsigned>(v)); }, "invalid configuration");
  unsigned on_host = 0;
  traps([&] { launch(last_writer, dim3(1), dim3(32), stream, &on_host); }, "argument 1 of last_writer does not point to device memory");
  launch(wants_much_shared, dim3(1), dim3(32), stream, as<float>(v));
  traps([&] { stream.synchronize(); }, "bytes of shared memory");
}

TEST(StandInDeathTest, AWriteIntoAGuardZone) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const std::int64_t offset : {-1, 1000, 1003, 4000})
    EXPECT_DEATH(
        {
          Stream stream(0);
          const DeviceMemory v(0, 1000);
          launch(write_at, dim3(1), dim3(1), stream, v.data(), offset);
          stream.synchronize();
        },
        "use-after-poison|outside of|beside");
}

TEST(StandInTraps, AWriteIntoAGuardZoneThatNoSanitizerSees) {
  Stream stream(0);
  const DeviceMemory v(0, 1000);
  stream.zero(v.data(), 1000);
  stream.synchronize();
  const auto poke = [](std::byte* at) __attribute__((no_sanitize("address"))) { *at = std::byte{1}; };
  poke(v.data() + 1001);
  stream.zero(v.data(), 1000);
  traps([&] { stream.synchronize(); }, "something wrote 1 bytes behind the end of device memory of 1000 bytes; seen after zeroing");
  poke(v.data() - 3);
  stream.zero(v.data(), 1000);
  traps([&] { stream.synchronize(); }, "something wrote 3 bytes before device memory");
}

TEST(StandInTraps, CopiesBeyondTheEnd) {
  Stream stream(0);
  const DeviceMemory v(0, 1000);
  std::vector<std::byte> host(2000);
  traps([&] { stream.upload(v.data() + 1, host.data(), 1000); }, "reaches 1 bytes beyond the end");
  traps([&] { stream.upload(host.data(), host.data() + 1000, 10); }, "is not in device memory");
  traps([&] { stream.download(v.data(), v.data(), 10); }, "is not in host memory");
  traps([&] { stream.zero(v.data() - 1, 10); }, "is not in device memory");
}

TEST(StandInTraps, FreshMemoryIsPoison) {
  Stream stream(0);
  const DeviceMemory v(0, 64);
  const PinnedMemory pinned(64);
  for (const float f : fetch<float>(stream, v, 16)) EXPECT_TRUE(std::isnan(f));
  EXPECT_TRUE(std::isnan(*reinterpret_cast<float*>(pinned.data())));
  EXPECT_TRUE(std::isnan(static_cast<float>(fetch<bfloat16>(stream, v, 32)[7])));
  EXPECT_TRUE(std::isnan(static_cast<float>(fetch<float16>(stream, v, 32)[7])));
}

TEST(StandInTraps, AReadBeforeTheStreamIsSynchronised) {
  Stream stream(0);
  const DeviceMemory v(0, 64);
  std::vector<float> host(16, 5.0f);
  stream.zero(v.data(), 64);
  stream.download(host.data(), v.data(), 64);
  EXPECT_TRUE(std::isnan(host[3]));
  stream.synchronize();
  EXPECT_EQ(host[3], 0.0f);
}

TEST(StandInTraps, HostMemoryThatChangesTooEarly) {
  Stream stream(0);
  const DeviceMemory v(0, 64);
  std::vector<float> host(16, 5.0f);
  stream.upload(v.data(), host.data(), 64);
  host[3] = 6;
  traps([&] { stream.synchronize(); }, "the host memory changed");
}

TEST(StandIn, AStagingBufferMayGoUpAndComeDown) {
  Stream stream(0);
  const DeviceMemory a(0, 64), b(0, 64);
  std::vector<float> staging(16, 5.0f);
  stream.zero(b.data(), 64);
  stream.upload(a.data(), staging.data(), 64);
  stream.download(staging.data(), b.data(), 64);
  stream.upload(b.data(), staging.data(), 64);
  stream.synchronize();
  EXPECT_EQ(fetch<float>(stream, a, 16)[9], 5.0f);
  EXPECT_EQ(staging[9], 0.0f);
}

std::atomic<bool> kernel_runs{false}, kernel_may_end{false};
__global__ void run_until_told() {
  kernel_runs = true;
  while (!kernel_may_end) std::this_thread::yield();
}

TEST(StandInTraps, AStreamThatTwoThreadsUseAtOnce) {
  Stream stream(0);
  const DeviceMemory v(0, 64);
  launch(run_until_told, dim3(1), dim3(1), stream);
  std::thread other([&] { stream.synchronize(); });
  while (!kernel_runs) std::this_thread::yield();
  traps([&] { stream.zero(v.data(), 4); }, "two threads use one stream at once");
  kernel_may_end = true;
  other.join();
}

// ---- Capture.

TEST(StandIn, AGraphReplays) {
  Stream stream(0);
  const DeviceMemory v(0, 64);
  stream.begin_capture();
  for (int i = 0; i < 3; ++i) launch(add_one, dim3(1), dim3(16), stream, as<float>(v), as<float>(v), std::int64_t{16});
  const auto graph = stream.end_capture();
  stream.zero(v.data(), 64);
  EXPECT_EQ(fetch<float>(stream, v, 1)[0], 0.0f) << "captured work ran without a replay";
  stream.replay(*graph);
  stream.replay(*graph);
  EXPECT_EQ(fetch<float>(stream, v, 1)[0], 6.0f);
}

TEST(StandInTraps, WhatACaptureForbids) {
  Stream stream(0);
  const DeviceMemory v(0, 64);
  std::vector<float> host(16);
  Event event(0);
  traps([&] { stream.end_capture(); }, "not captured");
  stream.begin_capture();
  traps([&] { stream.begin_capture(); }, "captured already");
  traps([&] { stream.upload(v.data(), host.data(), 64); }, "while the stream is captured");
  traps([&] { stream.download(host.data(), v.data(), 64); }, "while the stream is captured");
  traps([&] { stream.synchronize(); }, "while it is captured");
  traps([&] { event.record(stream); }, "while the stream is captured");
  traps([&] { DeviceMemory(0, 64); }, "allocated while a stream is captured");
  traps([&] { PinnedMemory(64); }, "allocated while a stream is captured");
  const auto graph = stream.end_capture();
  stream.begin_capture();
  traps([&] { stream.replay(*graph); }, "captured");
  stream.end_capture();
}

TEST(StandInTraps, AGraphWhoseMemoryIsGone) {
  Stream stream(0);
  auto v = std::make_unique<DeviceMemory>(0, 64);
  stream.begin_capture();
  launch(add_one, dim3(1), dim3(16), stream, as<float>(*v), as<float>(*v), std::int64_t{16});
  const auto graph = stream.end_capture();
  v.reset();
  stream.replay(*graph);
  traps([&] { stream.synchronize(); }, "does not point to device memory");
}

// ---- Events.

TEST(StandIn, EventsMeasureWhatLiesBetween) {
  Stream stream(0);
  const DeviceMemory v(0, 64);
  Event a(0), b(0), c(0);
  a.record(stream);
  stream.zero(v.data(), 64);
  b.record(stream);
  EXPECT_GT(b.milliseconds_since(a), 0.0f);
  traps([&] { a.milliseconds_since(b); }, "wrong order");
  traps([&] { c.milliseconds_since(a); }, "never recorded");
  std::vector<float> host(16, 5.0f);
  stream.download(host.data(), v.data(), 64);
  c.record(stream);
  c.milliseconds_since(a);
  EXPECT_EQ(host[0], 0.0f) << "an event that was waited for lies behind the download";
}

// ---- Devices and memory.

TEST(StandIn, PretendsToBeAnotherDevice) {
  const auto before = on_host::settings();
  EXPECT_EQ(device_list().size(), 1u);
  on_host::settings().major = 0;
  EXPECT_TRUE(device_list().empty());
  EXPECT_NE(why_no_device().find("driver"), std::string::npos);
  on_host::settings().major = 6;
  on_host::settings().minor = 1;
  EXPECT_TRUE(device_list().empty());
  EXPECT_NE(why_no_device().find("6.1"), std::string::npos);
  on_host::settings().major = 7;
  on_host::settings().minor = 5;
  EXPECT_EQ(device_list().at(0).major, 7);
  on_host::settings() = before;
}

TEST(StandIn, RunsOutOfMemory) {
  const auto before = on_host::settings();
  const std::size_t used = on_host::used_memory();
  on_host::settings().memory = used + 1000;
  const DeviceMemory some(0, 600);
  EXPECT_EQ(free_memory(0), 400u);
  try {
    DeviceMemory(0, 401);
    ADD_FAILURE() << "there was no memory";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::out_of_memory);
  }
  on_host::settings() = before;
}

}  // namespace
}  // namespace limpid::cuda
