// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/verifier.h"

#include <algorithm>

namespace shoji::attest {

bool AttestationResult::accepted() const {
  return !steps.empty() &&
         std::all_of(steps.begin(), steps.end(), [](const AppraisalStep& step) { return step.passed; });
}

absl::Status AttestationResult::ToStatus() const {
  for (const AppraisalStep& step : steps) {
    if (!step.passed) {
      return absl::PermissionDeniedError("attestation refused at step '" + step.name + "': " + step.detail);
    }
  }
  if (steps.empty()) {
    return absl::PermissionDeniedError("attestation refused: nothing was appraised");
  }
  return absl::OkStatus();
}

}  // namespace shoji::attest
