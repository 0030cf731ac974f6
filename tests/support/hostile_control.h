// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The two files between a test and its hostile accelerator: one says what to do, the other what was done.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/hostile_attacks.h"

namespace shoji::testing {

// What is done to executions of linear layers from now on. As text "none", "random 3", "stale 1".
struct HostileOrder {
  enum class Kind : uint8_t { kNone, kRandom, kOne };
  Kind kind = Kind::kNone;
  Attack attack = Attack::kFlippedBit;  // of kOne
  uint64_t one_in = 1;                  // executions; drawn at random

  bool operator==(const HostileOrder&) const = default;
};
std::string ToText(const HostileOrder& order);
// INVALID_ARGUMENT says what is wrong.
absl::StatusOr<HostileOrder> ParseOrder(const std::string& text);

// As text a name and a count a line; a name that is not below is an attack.
struct HostileStatus {
  uint64_t executions = 0;        // of linear layers that were answered, or not, in whatever way
  uint64_t attacks = 0;           // the sum of the next
  std::map<Attack, uint64_t> of;  // what was really done
  std::optional<Attack> last;
};
std::string ToText(const HostileStatus& status);
absl::StatusOr<HostileStatus> ParseStatus(const std::string& text);

// For the test. The process reads the order anew before every execution, and writes its status before the attack goes
// out, so that whoever has met an attack finds it counted.
absl::Status WriteOrder(const std::string& control_file, const HostileOrder& order);
// All 0 while there is no file.
absl::StatusOr<HostileStatus> ReadStatus(const std::string& status_file);

}  // namespace shoji::testing
