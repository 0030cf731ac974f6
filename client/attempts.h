// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a session and a release do about calls that fail: how long they go on, and from where.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "client/retry.h"
#include "client/transport.h"
#include "lib/base/clock.h"

namespace shoji::client {

// Borrows all that it is made of. Thread-safe where `wait` and `warn` are.
class Attempts {
 public:
  Attempts(Transport& transport, const Clock& clock, const WaitFunction& wait, const WarnFunction& warn)
      : transport_(transport), clock_(clock), wait_(wait), warn_(warn) {}

  struct Limits {
    SteadyTime deadline;
    // Of one attempt; nullopt: `deadline` alone.
    std::optional<std::chrono::milliseconds> each = std::nullopt;
    // Of a first contact: an attempt is made once there is a connection, and where nobody answers for so long (zero: at
    // the first try) the last error is returned. nullopt: the server was there before, and is waited for.
    std::optional<std::chrono::milliseconds> patience = std::nullopt;
  };
  // Repeats `attempt`, which is told its deadline, until it succeeds or fails for good. DEADLINE_EXCEEDED names the
  // last error.
  absl::Status Repeat(const std::function<absl::Status(SteadyTime)>& attempt, const Limits& limits) const;

  // Repeats one step of several for as long as it is refused as OVERLOADED and `deadline` lets it: what the steps
  // before it brought is kept, for a token that may make few calls a second would spend them all on fetching that anew.
  absl::Status WhileOverloaded(const std::function<absl::Status()>& step, SteadyTime deadline) const;

 private:
  Transport& transport_;
  const Clock& clock_;
  const WaitFunction& wait_;
  const WarnFunction& warn_;
};

}  // namespace shoji::client
