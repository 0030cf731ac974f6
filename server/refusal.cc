// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/refusal.h"

#include <array>

#include "absl/strings/cord.h"
#include "lib/base/reason.h"

namespace shoji::server {
namespace {

// OVERLOADED, and of what there is too much.
absl::Status Overloaded(std::string_view text) {
  const absl::Status fixed = ErrorOf(Reason::kOverloaded);
  absl::Status out(fixed.code(), absl::string_view(text.data(), text.size()));
  fixed.ForEachPayload([&out](absl::string_view url, const absl::Cord& payload) { out.SetPayload(url, payload); });
  return out;
}

}  // namespace

std::string_view NameOf(Refusal refusal) {
  static constexpr std::array<std::string_view, kNumRefusals> kNames = {
      "unauthenticated", "token_rate", "token_in_flight", "memory", "queue_full", "queue_wait", "draining", "deadline"};
  return kNames.at(static_cast<size_t>(refusal));
}

absl::Status StatusOf(Refusal refusal) {
  switch (refusal) {
    case Refusal::kUnauthenticated:
      return ErrorOf(Reason::kUnauthenticatedClient);
    case Refusal::kDraining:
      return ErrorOf(Reason::kDraining);
    case Refusal::kDeadline:
      return ErrorOf(Reason::kDeadline);
    case Refusal::kTokenRate:
      return Overloaded("the token's rate of calls is used up; retry later");
    case Refusal::kTokenInFlight:
      return Overloaded("the token has as many calls under way as it may have; retry later");
    case Refusal::kMemory:
      return Overloaded("as many calls are being received and answered as the server has memory for; retry later");
    case Refusal::kQueueFull:
      return ErrorOf(Reason::kOverloaded);
    case Refusal::kQueueWait:
      return Overloaded("the queue is too long to be served in time; retry later");
  }
  return ErrorOf(Reason::kOverloaded);
}

std::optional<Refusal> RefusalOf(Admission::Verdict verdict) {
  switch (verdict) {
    case Admission::Verdict::kQueueFull:
      return Refusal::kQueueFull;
    case Admission::Verdict::kWaitTooLong:
      return Refusal::kQueueWait;
    case Admission::Verdict::kDraining:
      return Refusal::kDraining;
    case Admission::Verdict::kDeadline:
      return Refusal::kDeadline;
    case Admission::Verdict::kSlot:
    case Admission::Verdict::kQueued:
    case Admission::Verdict::kFlushed:
      break;
  }
  return std::nullopt;
}

}  // namespace shoji::server
