// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/event_loop.h"

#include <utility>

namespace shoji::rpc {

EventLoop::EventLoop(std::unique_ptr<grpc::ServerCompletionQueue> queue) : queue_(std::move(queue)) {
  thread_ = std::jthread([this] {
    void* tag = nullptr;
    bool ok = false;
    while (queue_->Next(&tag, &ok)) {
      static_cast<Event*>(tag)->OnEvent(ok);
    }
  });
}

EventLoop::~EventLoop() { Stop(); }

void EventLoop::Stop() {
  if (thread_.joinable()) {
    queue_->Shutdown();
    thread_.join();
  }
}

}  // namespace shoji::rpc
