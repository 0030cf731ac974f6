// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Coalescing, as network cards moderate their interrupts (`rx-usecs` of ethtool): a thread with much to do that finds
// its queue empty waits a moment, and handles what has come then in one go. A wake-up costs more than the handling of a
// small message (a switch of processes, cold caches, a signal to an idle processor), and what is handled together is
// mostly also sent and read together by the next process. On two processors that answer 5,000 to 7,000 requests a
// second it takes away a quarter of what they are busy; near saturation also of the tail of latency. bench/README.md
// has figures.
#pragma once

#include <chrono>

#include <grpcpp/completion_queue.h>

#include "lib/base/clock.h"

namespace shoji::rpc {

struct Coalescing {
  static constexpr std::chrono::milliseconds kMostWait{10};

  std::chrono::nanoseconds wait =
      std::chrono::microseconds(300);  // about so much is added to an event at most; 0: none
  // A thread coalesces when it is busy, so much of one processor, and has many calls a second: one caller who sends
  // when he has his answer is served at once. It stops when either falls, by more than coalescing itself makes it fall.
  double from_busy = 0.35;
  double until_busy = 0.12;
  double from_calls_per_second = 4000;
  double until_calls_per_second = 2000;
  double events_per_call = 1;
};

// Whether a thread coalesces.
class CoalescingRule {
 public:
  explicit CoalescingRule(const Coalescing& options) : options_(options) {}

  // In the last `passed` the thread took `num_events` and had `busy` of a processor.
  void Judge(int num_events, std::chrono::nanoseconds busy, std::chrono::nanoseconds passed);
  bool applies() const { return applies_; }

 private:
  const Coalescing options_;
  bool applies_ = false;
};

// Takes what comes on a completion queue. For one thread, which makes it.
class CoalescingTaker {
 public:
  // `queue` outlives it.
  CoalescingTaker(grpc::CompletionQueue& queue, const Coalescing& options)
      : queue_(queue), wait_(options.wait), rule_(options) {}

  // As CompletionQueue::Next: false once the queue has been shut down and is empty.
  bool Next(void*& tag, bool& ok);

 private:
  void Count();

  grpc::CompletionQueue& queue_;
  const std::chrono::nanoseconds wait_;
  const RealClock clock_;
  CoalescingRule rule_;
  int num_events_ = 0;  // since:
  SteadyTime since_ = clock_.SteadyNow();
  std::chrono::nanoseconds busy_until_then_ = clock_.ThreadTime();
};

}  // namespace shoji::rpc
