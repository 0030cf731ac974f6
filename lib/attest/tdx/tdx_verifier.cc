// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/tdx/tdx_verifier.h"

#include <utility>
#include <variant>

#include "lib/attest/intel/quote_verification.h"
#include "lib/base/status_macros.h"

namespace shoji::attest {
namespace {

constexpr const char* kRtmrNames[] = {"RTMR0", "RTMR1", "RTMR2", "RTMR3"};

absl::Status CheckPinned(const TdxPolicy& policy) {
  if (policy.unpinned == Unpinned::kAccepted) {
    return absl::OkStatus();
  }
  if (policy.guests.empty()) {
    return absl::InvalidArgumentError(std::string("the TDX policy names no guest") + kUnpinnedHint);
  }
  for (const TdxReference& reference : policy.guests) {
    if (!reference.mr_td.has_value() || !reference.rtmrs[1].has_value() || !reference.rtmrs[2].has_value()) {
      return absl::InvalidArgumentError("TDX guest '" + reference.name +
                                        "' does not pin all of MRTD (firmware), RTMR1 (kernel) and RTMR2 (command line "
                                        "and initial RAM disk)" +
                                        kUnpinnedHint);
    }
  }
  return absl::OkStatus();
}

// A step only where the policy has a rule.
void CheckBits(const std::string& name, const std::optional<BitRule>& rule, const BitField& found, StepList& steps) {
  if (rule.has_value()) {
    const bool allowed = rule->Allows(found);
    steps.Check(name, allowed,
                HexEncode(found) + (allowed ? "" : ", which differs in bits " + BrokenBits(*rule, found)),
                rule->ToString(), "start the domain as the policy asks, or let the policy accept how it was started");
  }
}

void CheckMeasurement(const TdxPolicy& policy, const intel::TdReport& report, StepList& steps) {
  ReferenceMatcher matcher;
  for (const TdxReference& reference : policy.guests) {
    matcher.Start(reference.name);
    matcher.Field("MRTD", reference.mr_td, report.mr_td);
    for (size_t i = 0; i < report.rtmrs.size(); ++i) {
      matcher.Field(kRtmrNames[i], reference.rtmrs[i], report.rtmrs[i]);
    }
    matcher.Field("MRCONFIGID", reference.mr_config_id, report.mr_config_id);
    matcher.Field("MROWNER", reference.mr_owner, report.mr_owner);
    matcher.Field("MROWNERCONFIG", reference.mr_owner_config, report.mr_owner_config);
  }
  matcher.Record("MRTD " + HexEncode(report.mr_td), policy.unpinned, steps);
}

std::vector<Claim> ClaimsOf(const intel::QuoteClaims& claims, const intel::TdReport& report) {
  std::vector<Claim> out = {
      {"quote_version", std::to_string(claims.quote.version)},
      {"user_data", HexEncode(claims.quote.user_data)},
      {"tdx_version", report.tdx_1_5.has_value() ? "1.5" : "1.0"},
      {"mr_td", HexEncode(report.mr_td)},
      {"rtmr0", HexEncode(report.rtmrs[0])},
      {"rtmr1", HexEncode(report.rtmrs[1])},
      {"rtmr2", HexEncode(report.rtmrs[2])},
      {"rtmr3", HexEncode(report.rtmrs[3])},
      {"mr_config_id", HexEncode(report.mr_config_id)},
      {"mr_owner", HexEncode(report.mr_owner)},
      {"mr_owner_config", HexEncode(report.mr_owner_config)},
      {"td_attributes", HexEncode(report.td_attributes)},
      {"xfam", HexEncode(report.xfam)},
      {"tee_tcb_svn", HexEncode(report.tee_tcb_svn)},
      {"mr_seam", HexEncode(report.mr_seam)},
      {"mr_signer_seam", HexEncode(report.mr_signer_seam)},
      {"seam_attributes", HexEncode(report.seam_attributes)},
      {"report_data", HexEncode(report.report_data)},
  };
  if (report.tdx_1_5.has_value()) {
    out.push_back({"tee_tcb_svn_2", HexEncode(report.tdx_1_5->tee_tcb_svn_2)});
    out.push_back({"mr_service_td", HexEncode(report.tdx_1_5->mr_service_td)});
  }
  for (Claim& claim : intel::PlatformClaims(claims)) {
    out.push_back(std::move(claim));
  }
  return out;
}

}  // namespace

absl::Status CheckTdxPolicy(const TdxPolicy& policy) {
  RETURN_IF_ERROR(intel::CheckTcbPolicy(policy.tcb));
  if (policy.attributes.has_value()) {
    RETURN_IF_ERROR(CheckBitRule(*policy.attributes, "TDATTRIBUTES"));
  }
  if (policy.xfam.has_value()) {
    RETURN_IF_ERROR(CheckBitRule(*policy.xfam, "XFAM"));
  }
  return CheckPinned(policy);
}

absl::StatusOr<std::unique_ptr<Verifier>> TdxVerifier::Create(Options options) {
  RETURN_IF_ERROR(CheckTdxPolicy(options.policy));
  std::vector<intel::InspectedCollateral> inspected = intel::InspectAll(options.collateral, options.root_key);
  return std::unique_ptr<Verifier>(
      new TdxVerifier(std::move(options.policy), std::move(inspected), std::move(options.root_key)));
}

TdxVerifier::TdxVerifier(TdxPolicy policy, std::vector<intel::InspectedCollateral> collateral, Bytes root_key)
    : policy_(std::move(policy)), collateral_(std::move(collateral)), root_key_(std::move(root_key)) {}

AttestationResult TdxVerifier::Appraise(const Evidence& evidence, const ReportData& expected, SystemTime now) const {
  AttestationResult result;
  result.kind = evidence.kind;
  StepList steps;
  if (steps.Check("kind", evidence.kind == EvidenceKind::kTdx, std::string(NameOf(evidence.kind)),
                  std::string(NameOf(EvidenceKind::kTdx)))) {
    std::optional<intel::QuoteClaims> claims =
        intel::VerifyQuoteSignatures(evidence.data, intel::TeeType::kTdx, root_key_, steps);
    if (claims.has_value()) {
      const auto& report = std::get<intel::TdReport>(claims->quote.body);
      steps.Check("debug", !report.debug(),
                  report.debug() ? "TDATTRIBUTES " + HexEncode(report.td_attributes) +
                                       ": a domain under debug, whose memory the host can read"
                                 : "off",
                  "off", "start the domain without debug");
      steps.Check("migration", !report.migratable(), report.migratable() ? "the domain can be migrated" : "off", "off",
                  "start the domain without the MIGRATABLE attribute");
      CheckBits("td attributes", policy_.attributes, report.td_attributes, steps);
      CheckBits("xfam", policy_.xfam, report.xfam, steps);
      CheckMeasurement(policy_, report, steps);
      intel::AppraisePlatform(collateral_, now, *claims, steps);
      intel::ApplyTcbPolicy(policy_.tcb, *claims, now, steps);
      CheckReportData(report.report_data, expected, steps);
      result.claims = ClaimsOf(*claims, report);
    }
  }
  result.steps = steps.Take();
  return result;
}

}  // namespace shoji::attest
