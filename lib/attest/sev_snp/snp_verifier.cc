// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/sev_snp/snp_verifier.h"

#include <utility>

#include "lib/attest/sev_snp/genuine_report.h"
#include "lib/base/status_macros.h"

namespace shoji::attest {
namespace {

using sev_snp::GenuineReport;

absl::Status CheckPinned(const SnpPolicy& policy) {
  if (policy.unpinned == Unpinned::kAccepted) {
    return absl::OkStatus();
  }
  if (policy.guests.empty()) {
    return absl::InvalidArgumentError(std::string("the SEV-SNP policy names no guest") + kUnpinnedHint);
  }
  for (const SnpReference& reference : policy.guests) {
    if (!reference.measurement.has_value() || reference.kernel_hashes != KernelHashes::kMeasured ||
        !reference.vmpl.has_value()) {
      return absl::InvalidArgumentError("SEV-SNP guest '" + reference.name +
                                        "' does not pin all of MEASUREMENT, made with kernel hashes, and VMPL" +
                                        kUnpinnedHint);
    }
  }
  return absl::OkStatus();
}

void CheckMeasurement(const SnpPolicy& policy, const sev_snp::Report& report, StepList& steps) {
  ReferenceMatcher matcher;
  for (const SnpReference& reference : policy.guests) {
    matcher.Start(reference.name);
    matcher.Field("MEASUREMENT", reference.measurement, report.measurement);
    matcher.Condition(
        reference.vmpl.value_or(report.vmpl) == report.vmpl,
        "VMPL " + std::to_string(report.vmpl) + " instead of " + std::to_string(reference.vmpl.value_or(0)));
    matcher.Field("HOST_DATA", reference.host_data, report.host_data);
    matcher.Field("ID_KEY_DIGEST", reference.id_key_digest, report.id_key_digest);
    matcher.Field("AUTHOR_KEY_DIGEST", reference.author_key_digest, report.author_key_digest);
  }
  matcher.Record("MEASUREMENT " + HexEncode(report.measurement), policy.unpinned, steps);
}

void CheckMinimumTcb(const SnpPolicy& policy, const GenuineReport& genuine, StepList& steps) {
  const sev_snp::TcbVersion reported = DecodeTcbVersion(genuine.product, genuine.report.reported_tcb);
  const std::string product(NameOf(genuine.product));
  const std::string found = product + " with " + ToString(reported, genuine.product);
  const auto minimum = policy.minimum_tcb.find(genuine.product);
  if (minimum == policy.minimum_tcb.end()) {
    steps.Check("minimum tcb", false, found, "a line of processors that the policy accepts",
                "state a minimum TCB for " + product + " in the policy");
    return;
  }
  steps.Check("minimum tcb", reported.AllAtLeast(minimum->second), found,
              "at least " + ToString(minimum->second, genuine.product), "update the host's firmware and microcode");
}

void CheckAge(const SnpPolicy& policy, const std::optional<SystemTime>& issued, SystemTime now, StepList& steps) {
  if (policy.maximum_collateral_age.has_value()) {
    const bool young = issued.has_value() && now - *issued <= *policy.maximum_collateral_age;
    steps.Check("collateral age", young,
                issued.has_value() ? "revocation list issued " + x509::TimeToString(*issued) : "no revocation list",
                "one at most " + std::to_string(*policy.maximum_collateral_age / std::chrono::hours(1)) + " h old",
                "fetch the current revocation list");
  }
}

}  // namespace

absl::Status CheckSnpPolicy(const SnpPolicy& policy) {
  if (policy.minimum_tcb.empty()) {
    return absl::InvalidArgumentError("the SEV-SNP policy accepts no line of processors");
  }
  return CheckPinned(policy);
}

absl::StatusOr<std::unique_ptr<Verifier>> SnpVerifier::Create(Options options) {
  RETURN_IF_ERROR(CheckSnpPolicy(options.policy));
  return std::unique_ptr<Verifier>(new SnpVerifier(std::move(options)));
}

SnpVerifier::SnpVerifier(Options options) : options_(std::move(options)) {}

AttestationResult SnpVerifier::Appraise(const Evidence& evidence, const ReportData& expected, SystemTime now) const {
  AttestationResult result;
  result.kind = evidence.kind;
  StepList steps;
  if (steps.Check("kind", evidence.kind == EvidenceKind::kSevSnp, std::string(NameOf(evidence.kind)),
                  std::string(NameOf(EvidenceKind::kSevSnp)))) {
    const std::optional<GenuineReport> genuine =
        sev_snp::VerifyReport(evidence.data, options_.collateral, options_.roots, steps);
    if (genuine.has_value()) {
      const sev_snp::Report& report = genuine->report;
      steps.Check("debug", !report.debug(),
                  report.debug() ? "a guest that the host may debug, and whose memory it can read" : "off", "off",
                  "start the guest with a policy that forbids debugging (bit 19 clear)");
      steps.Check("migration", !report.migratable(),
                  report.migratable() ? "a guest that a migration agent may move" : "off", "off",
                  "start the guest with a policy that forbids migration (bit 18 clear)");
      CheckMeasurement(options_.policy, report, steps);
      const std::optional<SystemTime> issued = sev_snp::AppraiseEndorsement(
          *genuine, options_.collateral, options_.policy.missing_revocation_list, now, steps);
      CheckMinimumTcb(options_.policy, *genuine, steps);
      CheckAge(options_.policy, issued, now, steps);
      CheckReportData(report.report_data, expected, steps);
      result.claims = genuine->Claims();
    }
  }
  result.steps = steps.Take();
  return result;
}

}  // namespace shoji::attest
