// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "bench/onnxruntime_child.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "lib/base/file.h"
#include "lib/base/status_macros.h"

namespace shoji::bench {
namespace {

constexpr size_t kMaxAnswerBytes = size_t{1} << 26;
constexpr std::string_view kError = "error ";

}  // namespace

absl::StatusOr<std::unique_ptr<OnnxRuntimeChild>> OnnxRuntimeChild::Start(const std::string& script) {
  std::array<int, 2> to = {};
  std::array<int, 2> from = {};
  if (pipe2(to.data(), O_CLOEXEC) != 0 || pipe2(from.data(), O_CLOEXEC) != 0) {
    return absl::InternalError("no pipe");
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
  std::array<std::string, 2> words = {"node", script};
  std::array<char*, 3> arguments = {words[0].data(), words[1].data(), nullptr};
  std::unique_ptr<OnnxRuntimeChild> child(new OnnxRuntimeChild());
  const int error = posix_spawnp(&child->pid_, "node", &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(to[0]);
  close(from[1]);
  child->to_ = fdopen(to[1], "w");
  child->from_ = fdopen(from[0], "r");
  if (error != 0) {
    child->pid_ = -1;
    return absl::UnavailableError("cannot start node: " + std::string(std::strerror(error)));
  }
  const absl::StatusOr<std::string> ready = child->ReadLine();
  if (!ready.ok() || !ready->starts_with("ready ")) {
    return absl::UnavailableError(ready.ok() ? *ready : std::string(ready.status().message()));
  }
  child->version_ = ready->substr(std::strlen("ready "));
  return child;
}

OnnxRuntimeChild::~OnnxRuntimeChild() {
  std::fclose(to_);  // the script ends with its input
  std::fclose(from_);
  if (pid_ > 0) {
    waitpid(pid_, nullptr, 0);
  }
}

absl::StatusOr<std::string> OnnxRuntimeChild::ReadLine() {
  char* line = nullptr;
  size_t capacity = 0;
  const ssize_t length = getline(&line, &capacity, from_);
  std::string out(line == nullptr || length <= 0 ? "" : line);
  std::free(line);  // NOLINT(cppcoreguidelines-no-malloc): getline's
  if (out.empty()) {
    return absl::InternalError("onnxruntime's process ended");
  }
  out.pop_back();
  if (out.starts_with(kError)) {
    return absl::UnavailableError(out.substr(kError.size()));
  }
  return out;
}

absl::StatusOr<std::string> OnnxRuntimeChild::Ask(const std::string& command) {
  if (std::fprintf(to_, "%s\n", command.c_str()) < 0 || std::fflush(to_) != 0) {
    return absl::InternalError("onnxruntime's process takes no more commands");
  }
  return ReadLine();
}

absl::Status OnnxRuntimeChild::Load(const std::string& model, const std::string& input, const Shape& shape) {
  std::string command = "load " + model + " " + input;
  for (const int64_t dim : shape.dims()) {
    command += " " + std::to_string(dim);
  }
  return Ask(command).status();
}

absl::StatusOr<std::vector<float>> OnnxRuntimeChild::Answer(const std::string& scratch) {
  RETURN_IF_ERROR(Ask("answer " + scratch).status());
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(scratch, kMaxAnswerBytes));
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

absl::StatusOr<double> OnnxRuntimeChild::Run(int count) {
  ASSIGN_OR_RETURN(const std::string micros, Ask("run " + std::to_string(count)));
  return std::strtod(micros.c_str(), nullptr);
}

}  // namespace shoji::bench
