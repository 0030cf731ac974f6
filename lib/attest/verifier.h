// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Appraisal of evidence (RFC 9334): one Verifier a kind, each of which reports every step it took, so that a refusal
// explains itself and an acceptance can be read.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/attest/evidence.h"
#include "lib/attest/manifest.h"
#include "lib/base/clock.h"

namespace shoji::attest {

struct AppraisalStep {
  std::string name;  // "signature", "report data", ...
  bool passed = false;
  std::string detail;       // what was found, and for a failed step what was expected; never a secret
  std::string remedy = {};  // for a failed step: what would make it pass; empty where nothing honest would
};

// One decoded field of the evidence, as text: a name ("mrenclave") and its value.
struct Claim {
  std::string name;
  std::string value;
  bool operator==(const Claim&) const = default;
};

// The outcome: accepted if and only if there is at least one step and every step passed.
struct AttestationResult {
  EvidenceKind kind = EvidenceKind::kSimulated;
  std::vector<AppraisalStep> steps;
  std::vector<Claim> claims = {};  // what the evidence says; worth something only where the result is accepted

  bool accepted() const;
  // OK, or PERMISSION_DENIED that names the first failed step.
  absl::Status ToStatus() const;
};

// Thread-safe.
class Verifier {
 public:
  Verifier() = default;
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;
  virtual ~Verifier() = default;

  // Appraises `evidence` at time `now`: that it is genuine and that its report data equals `expected`. Stops at the
  // first step that makes the later ones meaningless.
  virtual AttestationResult Appraise(const Evidence& evidence, const ReportData& expected, SystemTime now) const = 0;
};

}  // namespace shoji::attest
