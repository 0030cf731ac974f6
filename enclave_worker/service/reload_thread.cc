// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/reload_thread.h"

#include <utility>

namespace shoji::enclave {

ReloadThread::ReloadThread(std::function<void()> reload) : reload_(std::move(reload)), thread_([this] { Run(); }) {}

ReloadThread::~ReloadThread() {
  const absl::MutexLock lock(&mu_);
  is_stopping_ = true;
  changed_.Signal();
}

void ReloadThread::Ask() {
  const absl::MutexLock lock(&mu_);
  is_asked_ = true;
  changed_.Signal();
}

void ReloadThread::Run() {
  while (true) {
    {
      const absl::MutexLock lock(&mu_);
      while (!is_asked_ && !is_stopping_) {
        changed_.Wait(&mu_);
      }
      if (is_stopping_) {
        return;
      }
      is_asked_ = false;
    }
    reload_();
  }
}

}  // namespace shoji::enclave
