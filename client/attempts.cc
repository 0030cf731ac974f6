// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/attempts.h"

#include <algorithm>
#include <string>

#include "lib/base/reason.h"

namespace shoji::client {
namespace {

using std::chrono::milliseconds;

// Of a server that was there.
constexpr auto kForLong = std::chrono::hours(24);

absl::Status GaveUp(const absl::Status& last) {
  return absl::DeadlineExceededError("no answer before the deadline; the last error was " +
                                     std::string(absl::StatusCodeToString(last.code())) + ": " +
                                     std::string(last.message()));
}

}  // namespace

absl::Status Attempts::Repeat(const std::function<absl::Status(SteadyTime)>& attempt, const Limits& limits) const {
  if (clock_.SteadyNow() >= limits.deadline) {
    return absl::DeadlineExceededError("the deadline passed before the request was sent");
  }
  Backoff backoff;
  absl::Status last;
  Patience patience(limits.patience.value_or(kForLong));
  while (true) {
    const SteadyTime began = clock_.SteadyNow();
    const SteadyTime until =
        limits.each.has_value() ? std::min(limits.deadline, began + *limits.each) : limits.deadline;
    // Without patience there is one try, which takes the time of a call.
    const SteadyTime patient_until = limits.patience == milliseconds(0) ? until : patience.EndsAt(began);
    absl::Status status =
        limits.patience.has_value() ? transport_.AwaitConnection(std::min(until, patient_until)) : absl::OkStatus();
    if (status.ok()) {
      status = attempt(until);
      if (status.code() == absl::StatusCode::kDeadlineExceeded && ReasonOf(status) == Reason::kUnspecified) {
        return GaveUp(last.ok() ? status : last);  // what was there before says more than that the time is over
      }
    }
    last = status;
    const SteadyTime now = clock_.SteadyNow();
    if (status.ok() || NextStepAfter(status) == NextStep::kFail || patience.IsOver(status, began, now)) {
      return status;
    }
    milliseconds delay = backoff.Next(transport_.RetryAfter(status));
    if (limits.patience.has_value() && patience.IsTried()) {
      const SteadyTime end = std::min(patience.EndsAt(began), limits.deadline);
      if (now >= end) {
        return status;
      }
      delay = std::min(delay, std::chrono::ceil<milliseconds>(end - now));  // once more at the end
    } else if (now + delay >= limits.deadline) {
      return GaveUp(status);
    }
    if (const auto text = patience.Announcement(status, now, limits.deadline); text.has_value()) {
      warn_(*text);
    }
    wait_(delay);
  }
}

absl::Status Attempts::WhileOverloaded(const std::function<absl::Status()>& step, SteadyTime deadline) const {
  Backoff backoff;
  while (true) {
    absl::Status status = step();
    if (ReasonOf(status) != Reason::kOverloaded) {
      return status;
    }
    const milliseconds delay = backoff.Next(transport_.RetryAfter(status));
    if (clock_.SteadyNow() + delay >= deadline) {
      return status;
    }
    wait_(delay);
  }
}

}  // namespace shoji::client
