// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/worker_pool.h"

#include <utility>

#include "lib/base/reason.h"

namespace shoji::enclave {

WorkerPool::WorkerPool(size_t num_threads, size_t queue) : max_queue_(queue) {
  for (size_t i = 0; i < num_threads; ++i) {
    threads_.emplace_back([this] { Loop(); });
  }
}

WorkerPool::~WorkerPool() {
  {
    const absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  threads_.clear();
}

absl::Status WorkerPool::Add(std::function<void()> work) {
  const absl::MutexLock lock(&mu_);
  if (queue_.size() >= max_queue_) {
    return ErrorOf(Reason::kOverloaded);
  }
  queue_.push_back(std::move(work));
  return absl::OkStatus();
}

void WorkerPool::Loop() {
  while (true) {
    std::function<void()> work;
    {
      const absl::MutexLock lock(&mu_);
      const auto due = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopping_ || !queue_.empty(); };
      mu_.Await(absl::Condition(&due));
      if (queue_.empty()) {
        return;
      }
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

}  // namespace shoji::enclave
