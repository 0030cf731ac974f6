// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "server/admission.h"

namespace shoji::server {

// Why the front end itself refuses a call.
enum class Refusal : uint8_t {
  kUnauthenticated,
  kTokenRate,      // the token's rate
  kTokenInFlight,  // the token's calls under way
  kMemory,         // no room for its body, or cut off for another's
  kQueueFull,
  kQueueWait,  // its turn would come too late
  kDraining,
  kDeadline,  // passed while it waited
};
inline constexpr size_t kNumRefusals = 8;

// "queue_full": for metrics and logs.
std::string_view NameOf(Refusal refusal);
// What the caller is told.
absl::Status StatusOf(Refusal refusal);
// nullopt for verdicts that refuse nothing.
std::optional<Refusal> RefusalOf(Admission::Verdict verdict);

}  // namespace shoji::server
