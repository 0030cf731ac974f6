// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/fake_gramine.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lib/attest/manifest.h"
#include "lib/base/check.h"
#include "lib/base/file.h"
#include "lib/base/regular_file.h"

namespace shoji::testing {
namespace {

constexpr int kPollMillis = 20;

bool Readable(int file) {
  pollfd poll = {.fd = file, .events = POLLIN, .revents = 0};
  return ::poll(&poll, 1, kPollMillis) == 1;
}

}  // namespace

FakeGramine::FakeGramine(Bytes quote, std::function<void()> before_quote)
    : quote_(std::move(quote)), before_quote_(std::move(before_quote)) {
  SHOJI_CHECK(WriteFileAtomically(dir_.File("attestation_type"), AsBytes("dcap")).ok());
  SHOJI_CHECK(::mkfifo(dir_.File("user_report_data").c_str(), S_IRUSR | S_IWUSR) == 0);
  SHOJI_CHECK(::mkfifo(dir_.File("quote").c_str(), S_IRUSR | S_IWUSR) == 0);
  thread_ = std::jthread([this](const std::stop_token& stop) { Loop(stop); });
}

FakeGramine::~FakeGramine() = default;

void FakeGramine::Loop(const std::stop_token& stop) {
  // Open for writing too, so that it does not end with each writer.
  const FileDescriptor input(::open(dir_.File("user_report_data").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  attest::ReportData report_data = {};
  while (!stop.stop_requested()) {
    // One write of 64 bytes to a pipe comes in one piece.
    if (!Readable(input.get()) || ::read(input.get(), report_data.data(), report_data.size()) != 64) {
      continue;
    }
    if (before_quote_) {
      before_quote_();
    }
    std::copy(report_data.begin(), report_data.end(), quote_.begin() + kReportDataOffset);
    int output = -1;
    while (output < 0 && !stop.stop_requested()) {
      output = ::open(dir_.File("quote").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);  // ENXIO: nobody reads yet
      if (output < 0) {
        PollPause();
      }
    }
    const FileDescriptor file(output);
    if (output >= 0 && ::write(output, quote_.data(), quote_.size()) == static_cast<ssize_t>(quote_.size())) {
      ++num_quotes_;
    }
  }
}

}  // namespace shoji::testing
