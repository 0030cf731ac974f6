// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/worker_pool.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "lib/base/reason.h"

namespace shoji::enclave {

WorkerPool::WorkerPool(size_t num_threads, size_t queue) : max_queue_(queue), num_threads_(num_threads) {
  for (size_t i = 0; i < num_threads; ++i) {
    threads_.emplace_back([this] { Loop(); });
  }
}

WorkerPool::~WorkerPool() { Stop(); }

void WorkerPool::Stop() {
  {
    const absl::MutexLock lock(&mu_);
    stopping_ = true;
    for (Idle* idle : idle_) {
      idle->is_called = true;
      idle->woken.Signal();
    }
    idle_.clear();
  }
  threads_.clear();
}

absl::Status WorkerPool::Add(std::function<void()> work, std::function<bool()> is_gone) {
  std::vector<Queued> gone;
  const absl::Status added = AddOrTakeGone({std::move(work), std::move(is_gone)}, gone);
  for (const Queued& queued : gone) {
    queued.work();
  }
  return added;
}

absl::Status WorkerPool::AddOrTakeGone(Queued queued, std::vector<Queued>& gone) {
  const absl::MutexLock lock(&mu_);
  if (!idle_.empty()) {
    Idle& idle = *idle_.back();
    idle_.pop_back();
    idle.work = std::move(queued.work);
    idle.is_called = true;
    idle.woken.Signal();
    return absl::OkStatus();
  }
  if (queue_.size() >= max_queue_) {
    const auto first_gone = std::stable_partition(
        queue_.begin(), queue_.end(), [](const Queued& waiting) { return !waiting.is_gone || !waiting.is_gone(); });
    std::move(first_gone, queue_.end(), std::back_inserter(gone));
    queue_.erase(first_gone, queue_.end());
  }
  if (queue_.size() >= max_queue_) {
    return ErrorOf(Reason::kOverloaded);
  }
  queue_.push_back(std::move(queued));
  return absl::OkStatus();
}

size_t WorkerPool::num_queued() const {
  const absl::MutexLock lock(&mu_);
  return queue_.size();
}

size_t WorkerPool::num_working() const {
  const absl::MutexLock lock(&mu_);
  return num_threads_ - std::min(num_threads_, idle_.size());
}

std::function<void()> WorkerPool::NextWork() {
  const absl::MutexLock lock(&mu_);
  if (!queue_.empty()) {
    std::function<void()> work = std::move(queue_.front().work);
    queue_.pop_front();
    return work;
  }
  if (stopping_) {
    return {};
  }
  Idle idle;
  idle_.push_back(&idle);
  while (!idle.is_called) {
    idle.woken.Wait(&mu_);
  }
  return std::move(idle.work);
}

void WorkerPool::Loop() {
  while (const std::function<void()> work = NextWork()) {
    work();
  }
}

}  // namespace shoji::enclave
