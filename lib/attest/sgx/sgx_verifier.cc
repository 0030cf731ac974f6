// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/sgx/sgx_verifier.h"

#include <utility>
#include <variant>

#include "lib/attest/intel/quote_verification.h"
#include "lib/base/status_macros.h"

namespace shoji::attest {
namespace {

absl::Status CheckPinned(const SgxPolicy& policy) {
  if (policy.unpinned == Unpinned::kAccepted) {
    return absl::OkStatus();
  }
  if (policy.enclaves.empty()) {
    return absl::InvalidArgumentError(std::string("the SGX policy names no enclave") + kUnpinnedHint);
  }
  for (const SgxReference& reference : policy.enclaves) {
    if (!reference.mr_enclave.has_value() && (!reference.mr_signer.has_value() || !reference.isv_prod_id.has_value())) {
      return absl::InvalidArgumentError("SGX enclave '" + reference.name +
                                        "' pins neither MRENCLAVE nor MRSIGNER with ISVPRODID" + kUnpinnedHint);
    }
  }
  return absl::OkStatus();
}

void CheckMeasurement(const SgxPolicy& policy, const intel::EnclaveReport& report, StepList& steps) {
  ReferenceMatcher matcher;
  for (const SgxReference& reference : policy.enclaves) {
    matcher.Start(reference.name);
    matcher.Field("MRENCLAVE", reference.mr_enclave, report.mr_enclave);
    matcher.Field("MRSIGNER", reference.mr_signer, report.mr_signer);
    matcher.Condition(reference.isv_prod_id.value_or(report.isv_prod_id) == report.isv_prod_id,
                      "ISVPRODID " + std::to_string(report.isv_prod_id) + " instead of " +
                          std::to_string(reference.isv_prod_id.value_or(0)));
    matcher.Condition(
        report.isv_svn >= reference.minimum_isv_svn,
        "ISVSVN " + std::to_string(report.isv_svn) + " below " + std::to_string(reference.minimum_isv_svn));
  }
  matcher.Record("MRENCLAVE " + HexEncode(report.mr_enclave), policy.unpinned, steps);
}

std::vector<Claim> ClaimsOf(const intel::QuoteClaims& claims, const intel::EnclaveReport& report) {
  std::vector<Claim> out = {
      {"quote_version", std::to_string(claims.quote.version)},
      {"user_data", HexEncode(claims.quote.user_data)},
      {"mr_enclave", HexEncode(report.mr_enclave)},
      {"mr_signer", HexEncode(report.mr_signer)},
      {"isv_prod_id", std::to_string(report.isv_prod_id)},
      {"isv_svn", std::to_string(report.isv_svn)},
      {"attributes", HexEncode(report.attributes)},
      {"misc_select", std::to_string(report.misc_select)},
      {"cpu_svn", HexEncode(report.cpu_svn)},
      {"isv_ext_prod_id", HexEncode(report.isv_ext_prod_id)},
      {"isv_family_id", HexEncode(report.isv_family_id)},
      {"config_id", HexEncode(report.config_id)},
      {"config_svn", std::to_string(report.config_svn)},
      {"report_data", HexEncode(report.report_data)},
  };
  for (Claim& claim : intel::PlatformClaims(claims)) {
    out.push_back(std::move(claim));
  }
  return out;
}

}  // namespace

absl::Status CheckSgxPolicy(const SgxPolicy& policy) {
  RETURN_IF_ERROR(intel::CheckTcbPolicy(policy.tcb));
  return CheckPinned(policy);
}

absl::StatusOr<std::unique_ptr<Verifier>> SgxVerifier::Create(Options options) {
  RETURN_IF_ERROR(CheckSgxPolicy(options.policy));
  std::vector<intel::InspectedCollateral> inspected = intel::InspectAll(options.collateral, options.root_key);
  return std::unique_ptr<Verifier>(
      new SgxVerifier(std::move(options.policy), std::move(inspected), std::move(options.root_key)));
}

SgxVerifier::SgxVerifier(SgxPolicy policy, std::vector<intel::InspectedCollateral> collateral, Bytes root_key)
    : policy_(std::move(policy)), collateral_(std::move(collateral)), root_key_(std::move(root_key)) {}

AttestationResult SgxVerifier::Appraise(const Evidence& evidence, const ReportData& expected, SystemTime now) const {
  AttestationResult result;
  result.kind = evidence.kind;
  StepList steps;
  if (steps.Check("kind", evidence.kind == EvidenceKind::kSgx, std::string(NameOf(evidence.kind)),
                  std::string(NameOf(EvidenceKind::kSgx)))) {
    std::optional<intel::QuoteClaims> claims =
        intel::VerifyQuoteSignatures(evidence.data, intel::TeeType::kSgx, root_key_, steps);
    if (claims.has_value()) {
      const auto& report = std::get<intel::EnclaveReport>(claims->quote.body);
      steps.Check("debug", !report.debug(), report.debug() ? "a debug enclave, whose memory the host can read" : "off",
                  "off", "build and run the enclave without debug");
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
