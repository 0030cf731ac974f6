// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace shoji::enclave {

// A fixed number of threads behind a bounded queue. Of the idle ones the last to have worked is taken first: its stack,
// and what it worked on, are the likeliest to be in the caches still. Thread-safe.
class WorkerPool {
 public:
  WorkerPool(size_t num_threads, size_t queue);
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  // As Stop.
  ~WorkerPool();

  // Runs what is queued and returns when every thread has ended: before what the work uses goes. Nothing may be added
  // any more. By one thread.
  void Stop();

  // OVERLOADED at once when every thread works and the queue is full. `is_gone`, if there is one, says whether nobody
  // waits for the work any more: it then ends at once, and makes room for new work where the queue is full, called by
  // the thread that adds that.
  absl::Status Add(std::function<void()> work, std::function<bool()> is_gone = nullptr);

  size_t num_queued() const;
  size_t num_working() const;

 private:
  // A thread without work. On `idle_` until it is given some, or told to stop by getting none.
  struct Idle {
    absl::CondVar woken;
    bool is_called = false;
    std::function<void()> work;
  };

  struct Queued {
    std::function<void()> work;
    std::function<bool()> is_gone;
  };

  // What is gone is taken off the queue when that is full.
  absl::Status AddOrTakeGone(Queued queued, std::vector<Queued>& gone) ABSL_LOCKS_EXCLUDED(mu_);
  void Loop();
  // Empty: the pool stops.
  std::function<void()> NextWork();

  const size_t max_queue_;
  const size_t num_threads_;
  mutable absl::Mutex mu_;
  std::vector<Idle*> idle_ ABSL_GUARDED_BY(mu_);  // the last to have worked is at the back; not empty: no queue
  std::deque<Queued> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::jthread> threads_;  // last: they use all of the above
};

}  // namespace shoji::enclave
