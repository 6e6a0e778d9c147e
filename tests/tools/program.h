#pragma once
// Runs the built `limpid` program as a user would, and keeps what it printed.
#include <gtest/gtest.h>
#include <tests/support/paths.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace limpid::testing {

struct Outcome {
  int status = -1;  // the exit status; -signal when one killed it
  std::string out, err;
  double seconds = 0;
};

struct Manner {
  std::string stdout_to = {};                    // "": kept; "closed"; "broken pipe"; else a file that is opened for it
  std::chrono::milliseconds interrupt_after{0};  // > 0: sends SIGINT then
  std::filesystem::path folder = {};             // where it runs; "": here
};

inline std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline Outcome limpid_program(const std::vector<std::string>& arguments, const Manner& manner = {}) {
  TempDir dir;
  const std::string out = (dir / "out").string(), err = (dir / "err").string();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  int pipe_ends[2] = {-1, -1};
  if (manner.stdout_to == "broken pipe") {
    EXPECT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
    ::close(pipe_ends[0]);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], 1);
  } else if (manner.stdout_to == "closed") posix_spawn_file_actions_addclose(&actions, 1);
  else posix_spawn_file_actions_addopen(&actions, 1, manner.stdout_to.empty() ? out.c_str() : manner.stdout_to.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT, 0600);
  if (!manner.folder.empty()) posix_spawn_file_actions_addchdir_np(&actions, manner.folder.c_str());

  std::string program = std::string(LIMPID_BINARY_DIR) + "/limpid";
  std::vector<std::string> words = arguments;
  words.insert(words.begin(), program);
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  // Waiting threads sleep rather than spin: on a machine that other programs keep busy, spinning takes ten times as long.
  std::string policy = "OMP_WAIT_POLICY=passive";
  std::vector<char*> environment{policy.data()};
  for (char** entry = environ; *entry; ++entry)
    if (!std::string_view(*entry).starts_with("OMP_WAIT_POLICY=")) environment.push_back(*entry);
  environment.push_back(nullptr);

  Outcome outcome;
  const auto start = std::chrono::steady_clock::now();
  pid_t pid = 0;
  const int error = posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (pipe_ends[1] >= 0) ::close(pipe_ends[1]);
  EXPECT_EQ(error, 0) << "cannot run " << program;
  if (error) return outcome;
  if (manner.interrupt_after.count() > 0) {
    std::this_thread::sleep_for(manner.interrupt_after);
    kill(pid, SIGINT);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  outcome.out = bytes_of(out);
  outcome.err = bytes_of(err);
  return outcome;
}

/// The program's answer to a call that works: status 0, nothing on stderr.
inline std::string answer(const std::vector<std::string>& arguments, const Manner& manner = {}) {
  const Outcome o = limpid_program(arguments, manner);
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_EQ(o.err, "");
  return o.out;
}

inline nlohmann::json json_answer(const std::vector<std::string>& arguments) {
  const auto json = nlohmann::json::parse(answer(arguments), nullptr, false);
  EXPECT_FALSE(json.is_discarded());
  return json;
}

/// A call that is refused: the status, one line on stderr that contains `words`, nothing on stdout.
inline void expect_refusal(int status, const std::string& words, const std::vector<std::string>& arguments, const Manner& manner = {}) {
  const Outcome o = limpid_program(arguments, manner);
  EXPECT_EQ(o.status, status) << o.err;
  EXPECT_EQ(o.out, "");
  EXPECT_TRUE(o.err.starts_with("limpid: ") && o.err.ends_with("\n")) << o.err;
  EXPECT_EQ(std::count(o.err.begin(), o.err.end(), '\n'), 1) << o.err;
  EXPECT_NE(o.err.find(words), std::string::npos) << o.err;
}

inline std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

inline std::string picture(const std::string& name) { return (source_dir() / "images" / name).string(); }

}  // namespace limpid::testing
