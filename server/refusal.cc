// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/refusal.h"

#include <array>

#include "lib/base/reason.h"

namespace shoji::server {

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
    case Refusal::kTokenInFlight:
    case Refusal::kMemory:
    case Refusal::kQueueFull:
    case Refusal::kQueueWait:
      break;
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
