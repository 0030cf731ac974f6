// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Real processes for integration tests: started, watched, signalled and always reaped.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace shoji::testing {

// Thread-compatible. The destructor kills what still runs.
class Process {
 public:
  struct Options {
    std::vector<std::string> argv;
    std::string log_file;                  // stdout and stderr, appended
    std::vector<std::string> environment;  // NAME=value, added to this process' own
    std::optional<uid_t> uid;              // run as another user (needs root)
  };
  static absl::StatusOr<std::unique_ptr<Process>> Start(Options options);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool Running();
  void Signal(int signal) const;
  // Waits for the end: the raw status of waitpid, or nullopt after `timeout`.
  std::optional<int> Wait(std::chrono::milliseconds timeout);
  // SIGKILL, and waits.
  void Kill();
  std::string Log() const;

 private:
  explicit Process(Options options, pid_t pid) : options_(std::move(options)), pid_(pid) {}

  const Options options_;
  const pid_t pid_;
  std::optional<int> status_;
};

struct CommandResult {
  int exit_code = -1;  // 128 + signal when killed
  std::string out;
  std::string err;
};
// Runs a command to its end, at most `timeout`.
CommandResult RunCommand(const std::vector<std::string>& argv,
                         std::chrono::milliseconds timeout = std::chrono::seconds(60));

// What /proc says of a process: the memory that it holds, and the most that it has held, in KiB; its threads. -1 where
// it is gone.
long ResidentKib(pid_t pid);
long PeakKib(pid_t pid);
long NumThreads(pid_t pid);

// A new empty folder that is removed with the object.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Polls `condition` until it holds; false after `timeout`. For conditions outside this process only.
template <typename Condition>
bool WaitFor(Condition condition, std::chrono::milliseconds timeout = std::chrono::seconds(30));

void PollPause();

template <typename Condition>
bool WaitFor(Condition condition, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return false;
    }
    PollPause();
  }
  return true;
}

}  // namespace shoji::testing
