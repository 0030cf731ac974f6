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
#include "lib/attest/intel/tcb_policy.h"
#include "lib/attest/reference_values.h"
#include "lib/attest/verifier.h"

namespace shoji::attest {

// An enclave to trust: every field that is there must match. Pinned is a reference with MRENCLAVE, or with MRSIGNER and
// ISVPRODID (that is, whatever this signer signs as this product).
struct SgxReference {
  std::string name;
  std::optional<std::array<uint8_t, 32>> mr_enclave;
  std::optional<std::array<uint8_t, 32>> mr_signer;
  std::optional<uint16_t> isv_prod_id;
  uint16_t minimum_isv_svn = 0;
};

struct SgxPolicy {
  std::vector<SgxReference> enclaves;
  Unpinned unpinned = Unpinned::kRefused;
  intel::TcbPolicy tcb;
};

// INVALID_ARGUMENT when the policy does not pin what it must, or accepts no TCB status, or Revoked.
absl::Status CheckSgxPolicy(const SgxPolicy& policy);

// Appraises DCAP quotes of SGX enclaves: the steps of intel/quote_verification.h, then "debug" (a debug enclave is
// always refused), "measurement", the platform, the TCB policy and "report data". Thread-safe.
class SgxVerifier final : public Verifier {
 public:
  struct Options {
    SgxPolicy policy;
    std::vector<intel::Collateral> collateral;
    Bytes root_key;  // to trust; IntelSgxRootKey() outside of tests
  };
  // As CheckSgxPolicy.
  static absl::StatusOr<std::unique_ptr<Verifier>> Create(Options options);

  AttestationResult Appraise(const Evidence& evidence, const ReportData& expected, SystemTime now) const override;

 private:
  SgxVerifier(SgxPolicy policy, std::vector<intel::InspectedCollateral> collateral, Bytes root_key);

  const SgxPolicy policy_;
  const std::vector<intel::InspectedCollateral> collateral_;
  const Bytes root_key_;
};

}  // namespace shoji::attest
