// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a process that passes messages on needs in place of gRPC's callbacks: one thread that polls one completion queue
// and runs whatever comes of it. With callbacks gRPC hands every message from one polling thread to another; here a
// message is read, handled and passed on by one thread, which halves what a relay costs.
#pragma once

#include <memory>
#include <thread>

#include <grpcpp/completion_queue.h>

namespace shoji::rpc {

// What gRPC reports of one operation: the operation's tag.
class Event {
 public:
  // `ok` as CompletionQueue::Next gives it. Must not block: the loop's other events wait.
  virtual void OnEvent(bool ok) = 0;

 protected:
  ~Event() = default;
};

// An event that a member function of its owner handles.
template <typename Owner, void (Owner::*kHandler)(bool)>
class MemberEvent final : public Event {
 public:
  explicit MemberEvent(Owner& owner) : owner_(owner) {}
  MemberEvent(const MemberEvent&) = delete;
  MemberEvent& operator=(const MemberEvent&) = delete;
  void OnEvent(bool ok) override { (owner_.*kHandler)(ok); }

 private:
  Owner& owner_;
};

// Every tag on its queue is an Event. Thread-safe.
class EventLoop {
 public:
  explicit EventLoop(std::unique_ptr<grpc::ServerCompletionQueue> queue);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  // As Stop.
  ~EventLoop();

  // Waits until every operation under way has been handled; none may be started any more. The server that the queue is
  // of must have been shut down and must still exist.
  void Stop();

  grpc::ServerCompletionQueue& queue() { return *queue_; }

 private:
  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::jthread thread_;
};

}  // namespace shoji::rpc
