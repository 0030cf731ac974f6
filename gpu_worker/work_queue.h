// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The accelerator's bounded pool of threads, shared fairly: tenants take turns, whatever the length of their queues.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace shoji::accelerator {

using TenantId = uint64_t;

// Each tenant has a queue of its own; a free thread takes the oldest job of the tenant whose turn it is (round robin).
// Thread-safe.
class WorkQueue {
 public:
  struct Options {
    size_t num_threads = 1;
    // Of all tenants together, jobs that run not counted. A tenant with nothing queued may always queue one job, so
    // that one tenant cannot lock out the others by filling the queue; the true bound is this plus the number of
    // tenants.
    size_t max_queued = 256;
  };
  using Job = absl::AnyInvocable<void() &&>;

  explicit WorkQueue(const Options& options);
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;
  // Drops what is queued, waits for what runs.
  ~WorkQueue();

  // RESOURCE_EXHAUSTED at once when the queue is full.
  absl::Status Submit(TenantId tenant, Job job);
  // Destroys the jobs that `tenant` has queued; those that run are not waited for.
  void Drop(TenantId tenant);

  // Replaces Options::max_queued; what is queued already stays.
  void SetMaxQueued(size_t max_queued);

  size_t num_queued() const;

 private:
  void Work();
  Job Take() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopping_ || !turns_.empty(); }

  mutable absl::Mutex mu_;
  size_t max_queued_ ABSL_GUARDED_BY(mu_);
  // A tenant is in `queues_`, and exactly once in `turns_`, if and only if it has a job queued.
  std::map<TenantId, std::deque<Job>> queues_ ABSL_GUARDED_BY(mu_);
  std::deque<TenantId> turns_ ABSL_GUARDED_BY(mu_);
  size_t num_queued_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::jthread> threads_;  // last: they use all of the above
};

}  // namespace shoji::accelerator
