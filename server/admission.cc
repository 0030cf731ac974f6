// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/admission.h"

#include <algorithm>

#include "absl/time/time.h"
#include "lib/base/reason.h"

namespace shoji::server {

absl::StatusOr<Admission::Entry> Admission::Enter(Waiter& waiter, SteadyTime deadline) {
  const absl::MutexLock lock(&mu_);
  if (is_draining_) {
    return ErrorOf(Reason::kDraining);
  }
  if (clock_.SteadyNow() >= deadline) {
    return ErrorOf(Reason::kDeadline);
  }
  if (num_in_flight_ < options_.max_in_flight && queue_.empty()) {
    ++num_in_flight_;
    return Entry::kSlot;
  }
  if (queue_.size() >= options_.max_queue) {
    return ErrorOf(Reason::kOverloaded);
  }
  queue_.push_back({&waiter, deadline});
  Dispatch();
  return Entry::kQueued;
}

bool Admission::Cancel(Waiter& waiter) {
  const absl::MutexLock lock(&mu_);
  const auto found =
      std::find_if(queue_.begin(), queue_.end(), [&waiter](const Queued& queued) { return queued.waiter == &waiter; });
  if (found == queue_.end()) {
    return false;
  }
  queue_.erase(found);
  return true;
}

void Admission::Release() {
  const absl::MutexLock lock(&mu_);
  --num_in_flight_;
  Dispatch();
}

// Hands free slots to the queue. One thread at a time does so, in a loop and not by recursion: a waiter that fails at
// once releases its slot from within OnSlot, and a whole queue of those must not pile up on the stack.
void Admission::Dispatch() {
  if (is_dispatching_) {
    return;
  }
  is_dispatching_ = true;
  while (!queue_.empty() && num_in_flight_ < options_.max_in_flight) {
    const Queued next = queue_.front();
    queue_.pop_front();
    const bool is_late = clock_.SteadyNow() >= next.deadline;
    num_in_flight_ += is_late ? 0 : 1;
    mu_.Unlock();
    next.waiter->OnSlot(is_late ? ErrorOf(Reason::kDeadline) : absl::OkStatus());
    mu_.Lock();
  }
  is_dispatching_ = false;
}

void Admission::Drain() {
  const absl::MutexLock lock(&mu_);
  is_draining_ = true;
}

bool Admission::AwaitIdle(std::chrono::nanoseconds timeout) {
  const absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(this, &Admission::IsIdle), absl::FromChrono(timeout));
}

size_t Admission::num_in_flight() const {
  const absl::MutexLock lock(&mu_);
  return num_in_flight_;
}

size_t Admission::num_queued() const {
  const absl::MutexLock lock(&mu_);
  return queue_.size();
}

}  // namespace shoji::server
