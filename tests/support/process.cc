// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "lib/base/check.h"

namespace shoji::testing {
namespace {

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& string : strings) {
    out.push_back(string.data());
  }
  out.push_back(nullptr);
  return out;
}

std::string ReadAll(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

long StatusOf(pid_t pid, std::string_view field) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(field)) {
      return std::stol(line.substr(field.size()));
    }
  }
  return -1;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Process>> Process::Start(Options options) {
  std::vector<std::string> argv = options.argv;
  std::vector<std::string> environment = options.environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.emplace_back(*variable);
  }
  const std::vector<char*> argv_pointers = Pointers(argv);
  const std::vector<char*> environment_pointers = Pointers(environment);
  const pid_t pid = ::fork();
  if (pid < 0) {
    return absl::UnavailableError("fork failed");
  }
  if (pid == 0) {
    const int log = ::open(options.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    ::dup2(log, 1);
    ::dup2(log, 2);
    if (options.uid.has_value() && (::setgid(*options.uid) != 0 || ::setuid(*options.uid) != 0)) {
      ::_exit(126);
    }
    ::execve(argv_pointers[0], argv_pointers.data(), environment_pointers.data());
    ::_exit(127);
  }
  return std::unique_ptr<Process>(new Process(std::move(options), pid));
}

Process::~Process() { Kill(); }

bool Process::Running() { return !Wait(std::chrono::milliseconds(0)).has_value(); }

void Process::Signal(int signal) const {
  if (!status_.has_value()) {
    ::kill(pid_, signal);
  }
}

std::optional<int> Process::Wait(std::chrono::milliseconds timeout) {
  if (status_.has_value()) {
    return status_;
  }
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  SHOJI_CHECK(fd >= 0);
  pollfd wait = {fd, POLLIN, 0};
  const int ready = ::poll(&wait, 1, static_cast<int>(timeout.count()));
  ::close(fd);
  if (ready <= 0) {
    return std::nullopt;
  }
  int status = 0;
  SHOJI_CHECK(::waitpid(pid_, &status, 0) == pid_);
  status_ = status;
  return status_;
}

void Process::Kill() {
  Signal(SIGKILL);
  Wait(std::chrono::seconds(30));
}

std::string Process::Log() const { return ReadAll(options_.log_file); }

CommandResult RunCommand(const std::vector<std::string>& argv, std::chrono::milliseconds timeout) {
  const TempDir dir;
  // Two files through a shell would need quoting; a second redirection in the child is enough.
  std::vector<std::string> wrapped = {
      "/bin/sh",       "-c",           "out=$1; err=$2; shift 2; exec \"$@\" >\"$out\" 2>\"$err\"", "sh",
      dir.File("out"), dir.File("err")};
  wrapped.insert(wrapped.end(), argv.begin(), argv.end());
  absl::StatusOr<std::unique_ptr<Process>> process = Process::Start({wrapped, dir.File("log"), {}, {}});
  SHOJI_CHECK(process.ok());
  const std::optional<int> status = (*process)->Wait(timeout);
  CommandResult result;
  if (status.has_value()) {
    result.exit_code = WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
  }
  result.out = ReadAll(dir.File("out"));
  result.err = ReadAll(dir.File("err"));
  return result;
}

long ResidentKib(pid_t pid) { return StatusOf(pid, "VmRSS:"); }
long PeakKib(pid_t pid) { return StatusOf(pid, "VmHWM:"); }
long NumThreads(pid_t pid) { return StatusOf(pid, "Threads:"); }

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "shoji_test_XXXXXX").string();
  SHOJI_CHECK(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void PollPause() { ::poll(nullptr, 0, 5); }

}  // namespace shoji::testing
