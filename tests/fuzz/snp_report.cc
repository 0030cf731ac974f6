// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Any bytes as SEV-SNP evidence, a report and a certificate table: never accepted, and never read past their end.

#include <cstddef>
#include <cstdint>

#include "lib/attest/sev_snp/evidence_data.h"
#include "lib/attest/sev_snp/report.h"
#include "lib/attest/sev_snp/snp_verifier.h"
#include "lib/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace shoji::attest;  // NOLINT(google-build-using-namespace): one function
  static const auto kVerifier = [] {
    SnpVerifier::Options options;
    options.policy.unpinned = Unpinned::kAccepted;
    options.policy.minimum_tcb[sev_snp::Product::kMilan] = {};
    options.roots = sev_snp::AmdRoots();
    return SnpVerifier::Create(std::move(options));
  }();
  const shoji::ByteSpan bytes(data, size);
  if (const auto evidence = sev_snp::ParseEvidenceData(bytes); evidence.ok()) {
    SHOJI_CHECK(evidence->report.size() == sev_snp::kReportBytes);
    (void)sev_snp::ParseReport(evidence->report);
  }
  // Without a revocation list nothing passes.
  const Evidence evidence = {EvidenceKind::kSevSnp, shoji::Bytes(bytes.begin(), bytes.end())};
  const AttestationResult result =
      (*kVerifier)->Appraise(evidence, {}, shoji::SystemTime(std::chrono::seconds(1751328000)));
  SHOJI_CHECK(!result.accepted() && !result.ToStatus().ok());
  return 0;
}
