// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "shoji/internal/v1/accelerator.pb.h"

namespace shoji::testing {

// Writes down what an accelerator was asked to compute on: for each row of each execution's input ([height, limbs,
// plane]), the first 8 bytes of its SHA-256, appended to a file that survives the process. Thread-safe.
class ExecutionRecorder {
 public:
  // Empty: records nothing.
  explicit ExecutionRecorder(const std::string& file);
  ExecutionRecorder(const ExecutionRecorder&) = delete;
  ExecutionRecorder& operator=(const ExecutionRecorder&) = delete;
  ~ExecutionRecorder();

  void Record(const internal::v1::Execute& execute);

 private:
  int fd_ = -1;
};

// The rows recorded in `file` from byte `offset` on, in order; `offset` is moved to its end. None while there is no
// file.
std::vector<uint64_t> ReadRecord(const std::string& file, size_t& offset);

}  // namespace shoji::testing
