// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"

namespace shoji::server {

// Bounds the memory that calls hold, all connections together. A body is read only once it is admitted here, for the
// largest that may come; when it has arrived it counts for what it is, and then its answer does, until the caller has
// taken it. When there is no room left, the call that has been waiting for its caller for longest, to send its body or
// to take its answer, is cut off, if that is longer than the grace: a caller that does neither cannot keep others out.
// One that waits longer than `max_stall` is cut off at the next chance even when there is room.
//
// A flow (a caller) that holds much gets no more unless there is left at least a part of what it then has, so that
// whatever one of them holds there is room for the others. It makes room for itself: what of its own has waited longer
// than the grace is cut off for it. Knows no gRPC. Thread-safe.
class Intake {
 public:
  struct Options {
    size_t max_bytes = 0;
    size_t max_message_bytes = 0;  // counts as `max_bytes` when it is more
    std::chrono::nanoseconds grace = std::chrono::seconds(1);
    std::chrono::nanoseconds max_stall = std::chrono::seconds(60);
  };

  // Whose call it is; only compared. Null: one that no others are to be kept from, as where all callers are one.
  using Flow = const void*;

  // What one call holds. Leave before it goes.
  class Body {
   public:
    Body() = default;
    Body(const Body&) = delete;
    Body& operator=(const Body&) = delete;
    virtual ~Body() = default;
    // The call must end: nobody waits for its body, or for its answer to be taken, any more. Called under the intake's
    // lock, by the thread of another call.
    virtual void OnCutOff() = 0;

   private:
    friend class Intake;
    std::optional<std::list<Body*>::iterator> stalled_;
    SteadyTime since_;
    Flow flow_ = nullptr;
    size_t held_bytes_ = 0;
  };

  Intake(const Options& options, const Clock& clock);
  Intake(const Intake&) = delete;
  Intake& operator=(const Intake&) = delete;

  // OK: `body` may be read. OVERLOADED: there is no room, or none for `flow`.
  absl::Status Enter(Body& body, Flow flow);
  // The body of `num_bytes` is there. False: it has been cut off.
  bool Arrived(Body& body, size_t num_bytes);
  // What the call holds is now an answer of `num_bytes` that its caller is to take.
  void Answering(Body& body, size_t num_bytes);
  // The memory is free, or soon will be. Does nothing the second time.
  void Leave(Body& body);

  // The bounds from now on, but for `max_message_bytes`, which stays.
  void Configure(size_t max_bytes, std::chrono::nanoseconds max_stall);

  size_t num_held_bytes() const;
  uint64_t num_cut_off() const;

 private:
  void CutOff(Body& body) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Await(Body& body, size_t num_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Hold(Body& body, size_t num_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether `flow` would leave too little to others with `num_bytes` more.
  bool IsTooMuch(Flow flow, size_t num_bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Cuts off what of `flow` has waited for longest, if that is longer than the grace.
  bool CutOffOneOf(Flow flow, SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Clock& clock_;
  mutable absl::Mutex mu_;
  Options options_ ABSL_GUARDED_BY(mu_);
  size_t num_held_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t num_cut_off_ ABSL_GUARDED_BY(mu_) = 0;
  std::unordered_map<Flow, size_t> held_by_flow_ ABSL_GUARDED_BY(mu_);  // only those that hold something
  std::list<Body*> stalled_ ABSL_GUARDED_BY(mu_);                       // the oldest first
};

}  // namespace shoji::server
