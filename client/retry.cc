// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/retry.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/appraisal.h"
#include "client/printable.h"
#include "lib/base/reason.h"
#include "lib/crypto/random.h"

namespace shoji::client {
namespace {

constexpr std::chrono::milliseconds kMaxDelay{1000};
constexpr char kNobodyAnswersUrl[] = "type.shoji/nobody-answers";

// What a broken connection looks like: gRPC reports it under any of these, without a reason of ours.
NextStep WithoutReason(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kAborted:
      return NextStep::kRetry;
    default:
      return NextStep::kFail;
  }
}

}  // namespace

NextStep NextStepAfter(const absl::Status& status) {
  if (IsRefusal(status)) {
    return NextStep::kFail;
  }
  switch (ReasonOf(status)) {
    case Reason::kUnknownKey:
    case Reason::kStaleManifest:
    case Reason::kUnknownSession:
    case Reason::kSessionLimit:
    case Reason::kEncReused:
      return NextStep::kAttest;
    case Reason::kSequenceTooOld:
    case Reason::kOverloaded:
    case Reason::kNoEnclave:
    case Reason::kNoAccelerator:
    case Reason::kDraining:
      return NextStep::kRetry;
    case Reason::kUnspecified:
      return WithoutReason(status.code());
    default:
      return NextStep::kFail;
  }
}

absl::Status NobodyAnswers(absl::Status status) {
  status.SetPayload(kNobodyAnswersUrl, absl::Cord("1"));
  return status;
}

bool Patience::IsOver(const absl::Status& status, SteadyTime began, SteadyTime now) {
  if (!status.GetPayload(kNobodyAnswersUrl).has_value()) {
    since_.reset();
    is_announced_ = false;
    return false;
  }
  since_ = since_.value_or(began);
  return now - *since_ >= limit_;
}

std::optional<std::string> Patience::Announcement(const absl::Status& status, SteadyTime now, SteadyTime deadline) {
  if (!since_.has_value() || std::exchange(is_announced_, true)) {
    return std::nullopt;
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(std::min(*since_ + limit_, deadline) - now);
  const std::string time = left < std::chrono::seconds(1)
                               ? std::to_string(left.count()) + " ms"
                               : std::to_string(std::chrono::round<std::chrono::seconds>(left).count()) + " s";
  return "WAITING for up to " + time + ": " + std::string(status.message());
}

std::chrono::milliseconds Backoff::Next(std::chrono::milliseconds advice) {
  const auto random = crypto::RandomArray<2>();
  const int64_t part = delay_.count() / 2 * (random[0] * 256 + random[1]) / 65536;
  const std::chrono::milliseconds delay = std::max(delay_ - std::chrono::milliseconds(part), advice);
  delay_ = std::min(delay_ * 2, kMaxDelay);
  return delay;
}

void SetDefaults(const Clock& real, const Clock*& clock, WaitFunction& wait, WarnFunction& warn) {
  if (clock == nullptr) {
    clock = &real;
  }
  if (!wait) {
    wait = [](std::chrono::milliseconds time) { absl::SleepFor(absl::FromChrono(time)); };
  }
  if (!warn) {
    warn = [](const std::string& warning) { std::fprintf(stderr, "%s\n", Printable(warning).c_str()); };
  }
}

}  // namespace shoji::client
