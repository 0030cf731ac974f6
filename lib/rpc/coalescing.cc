// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/coalescing.h"

#include <thread>

namespace shoji::rpc {

void CoalescingRule::Judge(int num_events, std::chrono::nanoseconds busy, std::chrono::nanoseconds passed) {
  const double seconds = std::chrono::duration<double>(passed).count();
  const double least_busy = applies_ ? options_.until_busy : options_.from_busy;
  const double least_calls = applies_ ? options_.until_calls_per_second : options_.from_calls_per_second;
  applies_ = options_.wait > std::chrono::nanoseconds(0) &&
             std::chrono::duration<double>(busy).count() >= least_busy * seconds &&
             num_events >= least_calls * options_.events_per_call * seconds;
}

// Reads the clock at some events only.
void CoalescingTaker::Count() {
  constexpr int kEvents = 64;
  constexpr std::chrono::milliseconds kLeast(10);  // a few calls at once are no rate
  if (++num_events_ % kEvents != 0) {
    return;
  }
  const SteadyTime now = clock_.SteadyNow();
  if (now - since_ < kLeast) {
    return;
  }
  const std::chrono::nanoseconds busy = clock_.ThreadTime();
  rule_.Judge(num_events_, busy - busy_until_then_, now - since_);
  num_events_ = 0;
  since_ = now;
  busy_until_then_ = busy;
}

bool CoalescingTaker::Next(void*& tag, bool& ok) {
  if (rule_.applies()) {
    const auto there = queue_.AsyncNext(&tag, &ok, gpr_inf_past(GPR_CLOCK_MONOTONIC));
    if (there == grpc::CompletionQueue::SHUTDOWN) {
      return false;
    }
    if (there == grpc::CompletionQueue::GOT_EVENT) {
      Count();
      return true;
    }
    std::this_thread::sleep_for(wait_);
  }
  if (!queue_.Next(&tag, &ok)) {
    return false;
  }
  Count();
  return true;
}

}  // namespace shoji::rpc
