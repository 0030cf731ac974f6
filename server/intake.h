// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"

namespace shoji::server {

// Bounds the memory that requests hold, all connections together. A body is read only once it is admitted here, for the
// largest that may come; when it has arrived it counts for what it is, until its call ends. When there is no room left,
// the body that has been coming in for longest is cut off, if that is longer than the grace: a caller that never ends
// its request cannot keep others out. Knows no gRPC. Thread-safe.
class Intake {
 public:
  struct Options {
    size_t max_bytes = 0;
    size_t max_message_bytes = 0;  // counts as `max_bytes` when it is more
    std::chrono::nanoseconds grace = std::chrono::seconds(1);
  };

  // The body of one call's request. Leave before it goes.
  class Body {
   public:
    Body() = default;
    Body(const Body&) = delete;
    Body& operator=(const Body&) = delete;
    virtual ~Body() = default;
    // The call must end, its body is not awaited any more. Called under the intake's lock, by the thread of another
    // call.
    virtual void OnCutOff() = 0;

   private:
    friend class Intake;
    std::optional<std::list<Body*>::iterator> arriving;
    SteadyTime since;
    size_t held_bytes = 0;
  };

  Intake(const Options& options, const Clock& clock);
  Intake(const Intake&) = delete;
  Intake& operator=(const Intake&) = delete;

  // OK: `body` may be read. OVERLOADED: there is no room.
  absl::Status Enter(Body& body);
  // The body of `num_bytes` is there. False: it has been cut off.
  bool Arrived(Body& body, size_t num_bytes);
  // The memory is free, or soon will be. Does nothing the second time.
  void Leave(Body& body);

  size_t num_held_bytes() const;

 private:
  const Options options_;
  const size_t reservation_;
  const Clock& clock_;
  mutable absl::Mutex mu_;
  size_t num_held_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::list<Body*> arriving_ ABSL_GUARDED_BY(mu_);  // the oldest first
};

}  // namespace shoji::server
