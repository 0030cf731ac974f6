// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Reference values (RFC 9334): measurements that a relying party has computed, or was given, and gives names to.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/attest/step_list.h"
#include "lib/base/bytes.h"

namespace shoji::attest {

// Whether a policy that does not pin all that matters is usable.
enum class Unpinned : uint8_t { kRefused, kAccepted };

// Ends the refusal of one.
inline constexpr const char* kUnpinnedHint = "; a policy that is meant so says `unpinned: accepted`";

// Matches evidence against named references, each a conjunction of fields, and says which matched or what differs.
// Thread-compatible.
class ReferenceMatcher {
 public:
  // Begins another reference.
  void Start(const std::string& name) {
    Finish();
    name_ = name;
    differs_.clear();
    open_ = true;
  }
  template <size_t N>
  void Field(const char* field, const std::optional<std::array<uint8_t, N>>& expected,
             const std::array<uint8_t, N>& found) {
    if (expected.has_value() && *expected != found) {
      differs_ += (differs_.empty() ? "" : ", ") + std::string(field) + " " + HexEncode(found) + " instead of " +
                  HexEncode(*expected);
    }
  }
  void Condition(bool holds, const std::string& otherwise) {
    if (!holds) {
      differs_ += (differs_.empty() ? "" : ", ") + otherwise;
    }
  }
  // Records the step "measurement", which passes where a reference matches, or where there is none at all and that is
  // accepted. `found` is the principal measurement.
  void Record(const std::string& found, Unpinned unpinned, StepList& steps);

 private:
  void Finish();

  bool open_ = false;
  bool any_ = false;
  std::string name_;
  std::string differs_;
  std::string matched_;
  std::string mismatches_;
};

}  // namespace shoji::attest
