// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/sev_snp/snp_verifier.h"

#include <utility>

#include "lib/attest/sev_snp/genuine_report.h"
#include "lib/base/status_macros.h"

namespace shoji::attest {
namespace {

using sev_snp::GenuineReport;
using sev_snp::Product;
using sev_snp::SigningKey;

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

// A minimum that is stated for some of the accepted lines only is a mistake in one of them.
absl::Status CheckLines(const SnpPolicy& policy, const TcbMinimums& minimums, const std::string& of) {
  for (const Product product : sev_snp::kAllProducts) {
    if (!minimums.empty() && minimums.contains(product) != policy.minimum_tcb.contains(product)) {
      return absl::InvalidArgumentError("the SEV-SNP policy states a minimum " +
                                        (minimums.contains(product) ? of + " TCB but no minimum TCB for "
                                                                    : "TCB but no minimum " + of + " TCB for ") +
                                        std::string(NameOf(product)) + "; state both, or one for no line at all");
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

// That the provider in whose name AMD issued the key is the one to trust. A VCEK is in nobody's name.
void CheckProvider(const SnpPolicy& policy, const GenuineReport& genuine, StepList& steps) {
  if (policy.csp_id.has_value()) {
    const bool named = genuine.key.kind == SigningKey::kVlek;
    steps.Check(
        "csp id", named && genuine.key.csp_id == *policy.csp_id,
        named ? "'" + genuine.key.csp_id + "'" : "none, as the report is signed under the chip's own key (VCEK)",
        "a VLEK of '" + *policy.csp_id + "'",
        "if you mean to trust that provider, or any owner of a processor, change csp_id in the policy");
  }
}

// One of the report's TCB versions, and what the policy asks of it.
struct TcbDemand {
  std::string step;
  const sev_snp::RawTcbVersion& version;
  const TcbMinimums& minimums;
  std::string remedy;  // raises it
};

void CheckMinimumTcb(const TcbDemand& demand, Product line, StepList& steps) {
  const sev_snp::TcbVersion version = DecodeTcbVersion(line, demand.version);
  const std::string product(NameOf(line));
  const std::string found = product + " with " + ToString(version, line);
  const auto minimum = demand.minimums.find(line);
  if (minimum == demand.minimums.end()) {
    steps.Check(demand.step, false, found, "a line of processors that the policy accepts",
                "state a minimum TCB for " + product + " in the policy");
    return;
  }
  steps.Check(demand.step, version.AllAtLeast(minimum->second), found, "at least " + ToString(minimum->second, line),
              demand.remedy);
}

void CheckMinimumTcbs(const SnpPolicy& policy, const GenuineReport& genuine, StepList& steps) {
  const sev_snp::Report& report = genuine.report;
  const std::string update = "update the host's firmware and microcode";
  CheckMinimumTcb({"minimum tcb", report.reported_tcb, policy.minimum_tcb, update}, genuine.product, steps);
  if (!policy.minimum_launch_tcb.empty()) {
    CheckMinimumTcb({"minimum launch tcb", report.launch_tcb, policy.minimum_launch_tcb,
                     update + ", then start the guest anew: it keeps the versions that it was started under"},
                    genuine.product, steps);
  }
  if (!policy.minimum_committed_tcb.empty()) {
    CheckMinimumTcb({"minimum committed tcb", report.committed_tcb, policy.minimum_committed_tcb,
                     update + " and commit the firmware (SNP_COMMIT), so that the host cannot go back"},
                    genuine.product, steps);
  }
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
  RETURN_IF_ERROR(CheckLines(policy, policy.minimum_launch_tcb, "launch"));
  RETURN_IF_ERROR(CheckLines(policy, policy.minimum_committed_tcb, "committed"));
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
      CheckProvider(options_.policy, *genuine, steps);
      const std::optional<SystemTime> issued = sev_snp::AppraiseEndorsement(
          *genuine, options_.collateral, options_.policy.missing_revocation_list, now, steps);
      CheckMinimumTcbs(options_.policy, *genuine, steps);
      CheckAge(options_.policy, issued, now, steps);
      CheckReportData(report.report_data, expected, steps);
      result.claims = genuine->Claims();
    }
  }
  result.steps = steps.Take();
  return result;
}

}  // namespace shoji::attest
