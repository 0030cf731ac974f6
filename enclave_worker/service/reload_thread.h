// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Reloads beside the loop that gives signs of life: loading large models takes longer than a front end waits for one
// before it takes an enclave for lost.
#pragma once

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace shoji::enclave {

// Thread-safe.
class ReloadThread {
 public:
  // `reload` is called by a thread of this object's.
  explicit ReloadThread(std::function<void()> reload);
  ReloadThread(const ReloadThread&) = delete;
  ReloadThread& operator=(const ReloadThread&) = delete;
  // Waits for a reload that has begun; one that has not does not happen.
  ~ReloadThread();

  // Asks for a reload that begins after this: where one is under way, another one follows it. Does not wait.
  void Ask();

 private:
  void Run();

  const std::function<void()> reload_;
  absl::Mutex mu_;
  bool is_asked_ ABSL_GUARDED_BY(mu_) = false;
  bool is_stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::CondVar changed_;
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace shoji::enclave
