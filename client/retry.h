// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "lib/base/clock.h"

namespace shoji::client {

enum class NextStep : uint8_t {
  kFail,    // the caller gets the error
  kRetry,   // the same again, sealed anew
  kAttest,  // the session is over: new evidence, new session, then the same again
};

// What to do about a failed attempt (docs/protocol.md, "Errors"). A refusal of ours and everything that a second
// attempt cannot change fail; so do REPLAYED and OPEN_FAILED, which an honest server does not answer to a fresh
// message.
NextStep NextStepAfter(const absl::Status& status);

// Marks a status: nobody answers at the server's address. It may be about to start, so NextStepAfter still says kRetry;
// see Patience.
absl::Status NobodyAnswers(absl::Status status);

// How long a first contact is tried where nobody answers, unless it is said otherwise.
inline constexpr std::chrono::milliseconds kFirstPatience = std::chrono::seconds(5);

// How long a first contact is tried where nobody answers: a daemon that is starting is waited for, one that is not
// there is named soon. Thread-compatible.
class Patience {
 public:
  explicit Patience(std::chrono::milliseconds limit) : limit_(limit) {}
  // Of attempt after attempt: what came, at `now`, of the one that began at `began`. Whether nobody has answered at any
  // of them for as long as the limit.
  bool IsOver(const absl::Status& status, SteadyTime began, SteadyTime now);
  // Whether nobody answered at the last attempt.
  bool IsTried() const { return since_.has_value(); }
  // When it is over for an attempt that begins at `now` if nobody answers.
  SteadyTime EndsAt(SteadyTime now) const { return since_.value_or(now) + limit_; }
  // What to say before the next attempt, where the last one was the first at which nobody answered: who does not
  // answer, and for how long it will be tried, `deadline` at the latest. For a person who waits.
  std::optional<std::string> Announcement(const absl::Status& status, SteadyTime now, SteadyTime deadline);

 private:
  const std::chrono::milliseconds limit_;
  std::optional<SteadyTime> since_;  // when the first of the attempts in a row began at which nobody answered
  bool is_announced_ = false;        // of this row
};

// Growing delays: 20 ms, doubled each time up to 1 s, each less a random part of up to a half, so that clients that
// failed together do not come back together. Thread-compatible.
class Backoff {
 public:
  // `advice`: the least time the server asked for.
  std::chrono::milliseconds Next(std::chrono::milliseconds advice);

 private:
  std::chrono::milliseconds delay_{20};
};

using WaitFunction = std::function<void(std::chrono::milliseconds)>;
using WarnFunction = std::function<void(const std::string&)>;

// Puts the real thing where a caller left `clock`, `wait` or `warn` unset: `real`, sleeping, standard error.
void SetDefaults(const Clock& real, const Clock*& clock, WaitFunction& wait, WarnFunction& warn);

}  // namespace shoji::client
