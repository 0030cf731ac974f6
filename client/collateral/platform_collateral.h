// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The collateral of the platform that made one piece of evidence: what of it is kept, and how a vendor's service is
// asked for the rest.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "client/collateral/http_get.h"
#include "lib/attest/appraisal/policy_verifier.h"
#include "lib/attest/evidence.h"
#include "lib/attest/verifier.h"

namespace shoji::client {

// What is asked for by one request.
enum class CollateralPart : uint8_t {
  kTcbInfo,
  kQeIdentity,
  kRootRevocationList,
  kPckRevocationList,
  kEndorsementKey,
  kAuthorities,
  kRevocationList,
};
using CollateralParts = std::set<CollateralPart>;

// Of one vendor's platform. Names of files and addresses are made of numbers out of the evidence, in hexadecimal or
// decimal digits, and of nothing else of it. Thread-compatible.
class PlatformCollateral {
 public:
  PlatformCollateral() = default;
  PlatformCollateral(const PlatformCollateral&) = delete;
  PlatformCollateral& operator=(const PlatformCollateral&) = delete;
  virtual ~PlatformCollateral() = default;

  // Gives the verifier what is kept. What cannot be read is as if it were not there.
  virtual void AddKept(attest::PolicyVerifier::Options& options) const = 0;
  // What may make the failed steps of `result` pass. Empty where none of it would, or no address is configured.
  virtual CollateralParts PartsFor(const attest::AttestationResult& result) const = 0;
  // Asks for `parts` and keeps them. `options`: what the verifier was last given. Errors name address or file.
  virtual absl::Status Fetch(const CollateralParts& parts, const attest::PolicyVerifier::Options& options) = 0;
};

// Null for evidence that is not what it should be, which the verifier says better, and for kinds that `policy` does not
// accept.
std::unique_ptr<PlatformCollateral> PlatformOf(const attest::Evidence& evidence, const attest::AppraisalPolicy& policy);

// `url`, one "/" less at its end.
std::string ServiceRoot(const std::string& url);
// How a service of these is asked.
HttpLimits LimitsOf(const attest::CollateralServices& services);

}  // namespace shoji::client
