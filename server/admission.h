// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"

namespace shoji::server {

// Bounds the work the front end has under way: at most `max_in_flight` requests hold a slot, at most `max_queue` wait
// for one in order of arrival, and any other is refused at once. Knows no gRPC. Thread-safe.
class Admission {
 public:
  struct Options {
    size_t max_in_flight = 64;
    size_t max_queue = 256;
  };

  // A request that may have to wait. Lives until it has been told, or Cancel has returned true.
  class Waiter {
   public:
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    virtual ~Waiter() = default;
    // The wait is over, once: OK means that it holds a slot; DEADLINE that its time was up before it got one. Called
    // without a lock, by whichever thread freed the slot.
    virtual void OnSlot(const absl::Status& status) = 0;
  };

  enum class Entry : uint8_t { kSlot, kQueued };

  Admission(const Options& options, const Clock& clock) : options_(options), clock_(clock) {}
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  // kSlot: go ahead, and Release later. kQueued: `waiter` will be told, perhaps before this returns. Errors: OVERLOADED
  // (the queue is full), DRAINING, DEADLINE.
  absl::StatusOr<Entry> Enter(Waiter& waiter, SteadyTime deadline);
  // Takes `waiter` out of the queue. False when it is not there: it has been told or is about to be.
  bool Cancel(Waiter& waiter);
  // Gives a slot back.
  void Release();

  // Refuses whatever comes from now on. What is queued still gets its turn.
  void Drain();
  // Waits until nothing is in flight or queued; false when that took longer than `timeout`.
  bool AwaitIdle(std::chrono::nanoseconds timeout);

  size_t num_in_flight() const;
  size_t num_queued() const;

 private:
  struct Queued {
    Waiter* waiter;
    SteadyTime deadline;
  };

  void Dispatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IsIdle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return num_in_flight_ == 0 && queue_.empty() && !is_dispatching_;
  }

  const Options options_;
  const Clock& clock_;
  mutable absl::Mutex mu_;
  size_t num_in_flight_ ABSL_GUARDED_BY(mu_) = 0;
  std::list<Queued> queue_ ABSL_GUARDED_BY(mu_);
  bool is_draining_ ABSL_GUARDED_BY(mu_) = false;
  bool is_dispatching_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace shoji::server
