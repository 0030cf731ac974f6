// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/attest/reference_values.h"
#include "lib/attest/sev_snp/authorities.h"
#include "lib/attest/sev_snp/collateral.h"
#include "lib/attest/sev_snp/genuine_report.h"
#include "lib/attest/sev_snp/report.h"
#include "lib/attest/verifier.h"

namespace shoji::attest {

// Whether MEASUREMENT was made with the hashes of kernel, initial RAM disk and command line in it (QEMU's
// `kernel-hashes=on`); without them it says nothing about what the firmware starts.
enum class KernelHashes : uint8_t { kNotMeasured, kMeasured };

// A guest to trust: every field that is there must match. Pinned is a reference with MEASUREMENT, made with kernel
// hashes, and a VMPL.
struct SnpReference {
  std::string name;
  std::optional<std::array<uint8_t, 48>> measurement;
  KernelHashes kernel_hashes = KernelHashes::kNotMeasured;
  std::optional<uint32_t> vmpl;
  std::optional<std::array<uint8_t, 32>> host_data;
  std::optional<std::array<uint8_t, 48>> id_key_digest;
  std::optional<std::array<uint8_t, 48>> author_key_digest;
};

// Of each line of processors, the least version.
using TcbMinimums = std::map<sev_snp::Product, sev_snp::TcbVersion>;

struct SnpPolicy {
  std::vector<SnpReference> guests;
  Unpinned unpinned = Unpinned::kRefused;
  // Of every line of processors that is accepted, the least REPORTED_TCB. At least one.
  TcbMinimums minimum_tcb;
  // Where there: of just those lines, the least LAUNCH_TCB (the guest's launch was measured by no older firmware) and
  // COMMITTED_TCB (the host cannot go back below it).
  TcbMinimums minimum_launch_tcb;
  TcbMinimums minimum_committed_tcb;
  // Where there, reports are accepted under a VLEK of this cloud provider's only.
  std::optional<std::string> csp_id;
  sev_snp::MissingList missing_revocation_list = sev_snp::MissingList::kRefused;
  std::optional<std::chrono::seconds> maximum_collateral_age;  // of the revocation list
};

// INVALID_ARGUMENT when the policy does not pin what it must, accepts no processor, or states one minimum for other
// lines of processors than another.
absl::Status CheckSnpPolicy(const SnpPolicy& policy);

// Appraises SEV-SNP reports: steps "kind", "structure", "endorsement key", "vek chain" (up to the pinned root), "vek
// certificate" and "report signature"; if they pass, "debug" and "migration" (always refused), "measurement", "csp id"
// where the policy pins it, "product", "chip id" (VCEK), "reported tcb" (the certificate's TCB is REPORTED_TCB),
// "certificate validity", "revocation list", "revocation", "minimum tcb", "minimum launch tcb" and "minimum committed
// tcb" where the policy states them, "collateral age" and "report data". Thread-safe.
class SnpVerifier final : public Verifier {
 public:
  struct Options {
    SnpPolicy policy;
    sev_snp::Collateral collateral;
    std::vector<sev_snp::Root> roots;  // to trust; AmdRoots() outside of tests
  };
  // As CheckSnpPolicy.
  static absl::StatusOr<std::unique_ptr<Verifier>> Create(Options options);

  AttestationResult Appraise(const Evidence& evidence, const ReportData& expected, SystemTime now) const override;

 private:
  explicit SnpVerifier(Options options);

  const Options options_;
};

}  // namespace shoji::attest
