// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/attest/intel/inspected_collateral.h"
#include "lib/attest/intel/quote.h"
#include "lib/attest/intel/tcb_policy.h"
#include "lib/attest/reference_values.h"
#include "lib/attest/tdx/bit_rule.h"
#include "lib/attest/verifier.h"

namespace shoji::attest {

// A trust domain to trust: every field that is there must match. Pinned is a reference with MRTD (the firmware), RTMR1
// (the kernel) and RTMR2 (its command line, which names the root file system by its hash, and the initial RAM disk).
struct TdxReference {
  std::string name;
  std::optional<intel::Measurement384> mr_td;
  std::array<std::optional<intel::Measurement384>, 4> rtmrs;
  std::optional<intel::Measurement384> mr_config_id;
  std::optional<intel::Measurement384> mr_owner;
  std::optional<intel::Measurement384> mr_owner_config;
};

struct TdxPolicy {
  std::vector<TdxReference> guests;
  Unpinned unpinned = Unpinned::kRefused;
  intel::TcbPolicy tcb;
  // What TDATTRIBUTES and XFAM must be beyond what is always refused. Absent: anything.
  std::optional<BitRule> attributes;
  std::optional<BitRule> xfam;
};

// INVALID_ARGUMENT when the policy does not pin what it must, accepts no TCB status, or Revoked, or has a rule for bits
// that nothing satisfies.
absl::Status CheckTdxPolicy(const TdxPolicy& policy);

// Appraises quotes of TDX trust domains, versions 4 and 5: the steps of intel/quote_verification.h, then "debug"
// (always refused), "migration" (a domain that another could take over is always refused), "td attributes" and "xfam"
// where the policy has a rule for them, "measurement", the platform, the TCB policy and "report data". Thread-safe.
class TdxVerifier final : public Verifier {
 public:
  struct Options {
    TdxPolicy policy;
    std::vector<intel::Collateral> collateral;
    Bytes root_key;  // to trust; IntelSgxRootKey() outside of tests
  };
  // As CheckTdxPolicy.
  static absl::StatusOr<std::unique_ptr<Verifier>> Create(Options options);

  AttestationResult Appraise(const Evidence& evidence, const ReportData& expected, SystemTime now) const override;

 private:
  TdxVerifier(TdxPolicy policy, std::vector<intel::InspectedCollateral> collateral, Bytes root_key);

  const TdxPolicy policy_;
  const std::vector<intel::InspectedCollateral> collateral_;
  const Bytes root_key_;
};

}  // namespace shoji::attest
