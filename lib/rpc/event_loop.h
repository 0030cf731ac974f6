// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a process that takes many small messages needs in place of gRPC's callbacks: one thread that polls one
// completion queue and runs whatever comes of it. With callbacks gRPC hands every message from one polling thread to
// another; here a message is read, handled and passed on by one thread, which halves what a relay costs. All of a
// process's calls go this way or none: gRPC's callback threads, once there, poll every connection of the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>

#include <grpcpp/completion_queue.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/rpc/coalescing.h"

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

// How many loops a server of messages wants on this machine: one passes on more requests than several cores answer, and
// needs no hand-over from thread to thread.
size_t NumEventLoops();

// Every tag on its queue is an Event. Thread-safe.
class EventLoop {
 public:
  EventLoop(std::unique_ptr<grpc::ServerCompletionQueue> queue, const Coalescing& coalescing);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  // As Stop.
  ~EventLoop();

  // Keeps the loop running. A call that may still start an operation has one: gRPC's shutdown cuts calls off, and does
  // not wait until they are finished.
  class Hold {
   public:
    explicit Hold(EventLoop& loop);
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold();

   private:
    EventLoop& loop_;
  };
  // Waits until nobody has a hold. Once the server has been shut down.
  void AwaitHolds();
  // As AwaitHolds, and until every operation under way has been handled; none may be started any more. The server that
  // the queue is of must have been shut down and must still exist.
  void Stop();

  grpc::ServerCompletionQueue& queue() { return *queue_; }

 private:
  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  absl::Mutex mu_;
  int64_t num_holds_ ABSL_GUARDED_BY(mu_) = 0;
  std::jthread thread_;
};

}  // namespace shoji::rpc
