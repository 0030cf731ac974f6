// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/event_loop.h"

#include <algorithm>
#include <utility>

namespace shoji::rpc {

size_t NumEventLoops() { return std::clamp<size_t>(std::thread::hardware_concurrency() / 8, 1, 8); }

EventLoop::EventLoop(std::unique_ptr<grpc::ServerCompletionQueue> queue, const Coalescing& coalescing)
    : queue_(std::move(queue)) {
  thread_ = std::jthread([this, coalescing] {
    CoalescingTaker taker(*queue_, coalescing);
    void* tag = nullptr;
    bool ok = false;
    while (taker.Next(tag, ok)) {
      static_cast<Event*>(tag)->OnEvent(ok);
    }
  });
}

EventLoop::~EventLoop() { Stop(); }

EventLoop::Hold::Hold(EventLoop& loop) : loop_(loop) {
  const absl::MutexLock lock(&loop_.mu_);
  ++loop_.num_holds_;
}

EventLoop::Hold::~Hold() {
  const absl::MutexLock lock(&loop_.mu_);
  --loop_.num_holds_;
}

void EventLoop::AwaitHolds() {
  const auto is_free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return num_holds_ == 0; };
  const absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&is_free));
}

void EventLoop::Stop() {
  if (thread_.joinable()) {
    AwaitHolds();
    queue_->Shutdown();
    thread_.join();
  }
}

}  // namespace shoji::rpc
