// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/core/pad_pool.h"

namespace shoji::enclave {

// The threads that make pads when nothing else wants the processor: they run at the lowest priority (SCHED_IDLE, where
// the kernel lets them), take the pools in turn, and sleep when all are full. Thread-safe; outlives its attachments.
class PadFiller {
 public:
  // Keeps `pool` filled while it lives; its destructor waits until no thread works on the pool any more.
  class Attachment {
   public:
    Attachment(PadFiller& filler, PadPool& pool);
    Attachment(const Attachment&) = delete;
    Attachment& operator=(const Attachment&) = delete;
    ~Attachment();

   private:
    friend class PadFiller;
    PadFiller& filler_;
    PadPool& pool_;
    std::atomic<bool> detaching_ = false;
    int num_working_ = 0;  // guarded by filler_.mu_
  };

  explicit PadFiller(size_t num_threads);
  PadFiller(const PadFiller&) = delete;
  PadFiller& operator=(const PadFiller&) = delete;
  ~PadFiller();

 private:
  void Work();
  // The next pool in turn that has room, marked as worked on; null when there is none.
  Attachment* Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Idle() const ABSL_SHARED_LOCKS_REQUIRED(mu_);

  absl::Mutex mu_;
  std::vector<Attachment*> attached_ ABSL_GUARDED_BY(mu_);
  size_t turn_ ABSL_GUARDED_BY(mu_) = 0;
  bool maybe_room_ ABSL_GUARDED_BY(mu_) = false;
  std::atomic<bool> stopping_ = false;  // set under mu_
  std::vector<std::jthread> threads_;   // last: they use all of the above
};

}  // namespace shoji::enclave
