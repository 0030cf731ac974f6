// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/work_queue.h"

#include <algorithm>
#include <utility>

namespace shoji::accelerator {

WorkQueue::WorkQueue(const Options& options) : max_queued_(options.max_queued) {
  threads_.reserve(options.num_threads);
  for (size_t i = 0; i < options.num_threads; ++i) {
    threads_.emplace_back([this] { Work(); });
  }
}

WorkQueue::~WorkQueue() {
  std::map<TenantId, std::deque<Job>> dropped;
  {
    const absl::MutexLock lock(&mu_);
    stopping_ = true;
    dropped.swap(queues_);
    turns_.clear();
    num_queued_ = 0;
  }
  threads_.clear();  // joins
}

absl::Status WorkQueue::Submit(TenantId tenant, Job job) {
  const absl::MutexLock lock(&mu_);
  const auto found = queues_.find(tenant);
  if (num_queued_ >= max_queued_ && found != queues_.end()) {
    return absl::ResourceExhaustedError("the accelerator's queue is full; retry later");
  }
  if (found == queues_.end()) {
    turns_.push_back(tenant);
  }
  queues_[tenant].push_back(std::move(job));
  ++num_queued_;
  return absl::OkStatus();
}

void WorkQueue::Drop(TenantId tenant) {
  std::deque<Job> dropped;  // destroyed after the lock is released
  const absl::MutexLock lock(&mu_);
  const auto found = queues_.find(tenant);
  if (found == queues_.end()) {
    return;
  }
  dropped.swap(found->second);
  num_queued_ -= dropped.size();
  queues_.erase(found);
  turns_.erase(std::remove(turns_.begin(), turns_.end(), tenant), turns_.end());
}

void WorkQueue::SetMaxQueued(size_t max_queued) {
  const absl::MutexLock lock(&mu_);
  max_queued_ = max_queued;
}

size_t WorkQueue::num_queued() const {
  const absl::MutexLock lock(&mu_);
  return num_queued_;
}

WorkQueue::Job WorkQueue::Take() {
  const TenantId tenant = turns_.front();
  turns_.pop_front();
  const auto queue = queues_.find(tenant);
  Job job = std::move(queue->second.front());
  queue->second.pop_front();
  --num_queued_;
  if (queue->second.empty()) {
    queues_.erase(queue);
  } else {
    turns_.push_back(tenant);
  }
  return job;
}

void WorkQueue::Work() {
  while (true) {
    Job job;
    {
      const absl::MutexLock lock(&mu_, absl::Condition(this, &WorkQueue::HasWork));
      if (stopping_) {
        return;
      }
      job = Take();
    }
    std::move(job)();
  }
}

}  // namespace shoji::accelerator
