// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "lib/attest/appraisal/policy_verifier.h"
#include "lib/attest/verifier.h"

namespace shoji::client {

// Whether services that a policy names are asked.
enum class Network : uint8_t { kAsConfigured, kNone };

// Appraises as attest::PolicyVerifier does, with the collateral of the policy's files and of its cache. Where the first
// step that fails is one for want of current collateral, asks the policy's services for it, keeps the answer in the
// cache, and appraises anew: what they say passes the same steps as a file. Each part is asked for once an appraisal.
// What cannot be fetched stands in the detail of the failed step. Evidence that is refused for anything else first
// (another measurement, a forged signature) causes no request; no request says anything but which platform.
// Thread-safe; one appraisal at a time.
class FetchingVerifier final : public attest::Verifier {
 public:
  // As attest::PolicyVerifier::Load.
  static absl::StatusOr<std::unique_ptr<attest::Verifier>> Load(const attest::AppraisalPolicy& policy, Network network);

  attest::AttestationResult Appraise(const attest::Evidence& evidence, const attest::ReportData& expected,
                                     SystemTime now) const override;

 private:
  FetchingVerifier(attest::PolicyVerifier::Options options, Network network);

  const attest::PolicyVerifier::Options options_;  // the policy, and what its files hold
  const Network network_;
  mutable absl::Mutex mu_;  // so that callers who wait at the same time do not fetch the same
};

}  // namespace shoji::client
