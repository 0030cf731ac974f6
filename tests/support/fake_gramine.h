// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Gramine's /dev/attestation as a folder, for a daemon that is a process of its own: `user_report_data` and `quote` are
// named pipes with this object at their other ends. Its quotes are a genuine one with the report data put in its place,
// so their form is real and their signature is not.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "lib/base/bytes.h"
#include "tests/support/process.h"

namespace shoji::testing {

// Thread-compatible. To be destroyed after the process that uses it.
class FakeGramine {
 public:
  // Where report data stands in a quote of SGX.
  static constexpr size_t kReportDataOffset = 0x170;

  // `before_quote`, if any, is called before each quote is handed out, and may take its time. `quote` is what to put
  // report data into.
  explicit FakeGramine(Bytes quote, std::function<void()> before_quote = nullptr);
  ~FakeGramine();
  FakeGramine(const FakeGramine&) = delete;
  FakeGramine& operator=(const FakeGramine&) = delete;

  // What takes the place of /dev/attestation.
  const std::string& path() const { return dir_.path(); }
  int num_quotes() const { return num_quotes_; }

 private:
  void Loop(const std::stop_token& stop);

  const TempDir dir_;
  Bytes quote_;
  const std::function<void()> before_quote_;
  std::atomic<int> num_quotes_ = 0;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace shoji::testing
