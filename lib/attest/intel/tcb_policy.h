// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <optional>
#include <set>

#include "absl/status/status.h"
#include "lib/attest/intel/quote_verification.h"
#include "lib/attest/intel/tcb_status.h"
#include "lib/attest/step_list.h"
#include "lib/base/clock.h"

namespace shoji::attest::intel {

// What a relying party accepts of Intel's judgements.
struct TcbPolicy {
  std::set<TcbStatus> accepted = {TcbStatus::kUpToDate};  // of platform, quoting enclave and TDX module alike
  uint32_t minimum_evaluation_data_number = 0;
  std::optional<std::chrono::seconds> maximum_collateral_age;
};

// INVALID_ARGUMENT where nothing is accepted, or kRevoked is.
absl::Status CheckTcbPolicy(const TcbPolicy& policy);

// Steps "tcb status", "qe tcb status", "tdx module status" (where there is such a judgement), "tcb evaluation" and
// "collateral age" (where the policy states one).
void ApplyTcbPolicy(const TcbPolicy& policy, const QuoteClaims& claims, SystemTime now, StepList& steps);

// "fmspc", "tcb_status", "advisories", ...: the platform as text.
std::vector<Claim> PlatformClaims(const QuoteClaims& claims);

}  // namespace shoji::attest::intel
