// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/execution_recorder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "lib/base/bytes.h"
#include "lib/base/check.h"
#include "lib/digest/sha2.h"

namespace shoji::testing {

ExecutionRecorder::ExecutionRecorder(const std::string& file) {
  if (!file.empty()) {
    fd_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    SHOJI_CHECK(fd_ >= 0);
  }
}

ExecutionRecorder::~ExecutionRecorder() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

void ExecutionRecorder::Record(const internal::v1::Execute& execute) {
  if (fd_ < 0) {
    return;
  }
  std::vector<uint64_t> rows;
  for (const internal::v1::Tensor& input : execute.inputs()) {
    const size_t num_rows = input.dims_size() > 0 ? static_cast<size_t>(input.dims(0)) : 0;
    if (num_rows == 0 || input.data().size() % num_rows != 0) {
      continue;
    }
    const ByteSpan data = AsBytes(input.data());
    const size_t row_bytes = data.size() / num_rows;
    for (size_t row = 0; row < num_rows; ++row) {
      const digest::Sha256Digest digest = digest::Sha256(data.subspan(row * row_bytes, row_bytes));
      std::memcpy(&rows.emplace_back(), digest.data(), sizeof(uint64_t));
    }
  }
  // One write an execution: whole or, when the process is killed before it, not at all.
  const size_t size = rows.size() * sizeof(uint64_t);
  SHOJI_CHECK(::write(fd_, rows.data(), size) == static_cast<ssize_t>(size));
}

std::vector<uint64_t> ReadRecord(const std::string& file, size_t& offset) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  if (!in.good()) {
    return {};
  }
  const auto end = static_cast<size_t>(in.tellg()) / sizeof(uint64_t) * sizeof(uint64_t);
  std::vector<uint64_t> rows((end - offset) / sizeof(uint64_t));
  in.seekg(static_cast<std::streamoff>(offset));
  in.read(reinterpret_cast<char*>(rows.data()), static_cast<std::streamsize>(rows.size() * sizeof(uint64_t)));
  offset = end;
  return rows;
}

}  // namespace shoji::testing
