// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/clock.h"

namespace shoji::attest::intel {

// How Intel judges a level of the trusted computing base, in Intel's words.
enum class TcbStatus : uint8_t {
  kUpToDate,
  kSwHardeningNeeded,
  kConfigurationNeeded,
  kConfigurationAndSwHardeningNeeded,
  kOutOfDate,
  kOutOfDateConfigurationNeeded,
  kRevoked,
};

inline constexpr TcbStatus kAllTcbStatuses[] = {
    TcbStatus::kUpToDate,
    TcbStatus::kSwHardeningNeeded,
    TcbStatus::kConfigurationNeeded,
    TcbStatus::kConfigurationAndSwHardeningNeeded,
    TcbStatus::kOutOfDate,
    TcbStatus::kOutOfDateConfigurationNeeded,
    TcbStatus::kRevoked,
};

// "UpToDate"
std::string_view NameOf(TcbStatus status);
std::optional<TcbStatus> TcbStatusNamed(std::string_view name);

// The judgement that applies to a platform, an enclave or a module.
struct TcbVerdict {
  TcbStatus status = TcbStatus::kRevoked;
  SystemTime date;
  std::vector<std::string> advisories;  // INTEL-SA-...
};

// "OutOfDate of 2024-03-13T00:00:00Z (INTEL-SA-00615)"
std::string ToString(const TcbVerdict& verdict);

}  // namespace shoji::attest::intel
