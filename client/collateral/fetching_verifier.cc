// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/collateral/fetching_verifier.h"

#include <algorithm>
#include <string>
#include <utility>

#include "client/collateral/platform_collateral.h"
#include "lib/attest/x509/certificate.h"
#include "lib/base/check.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"

namespace shoji::client {
namespace {

// A machine's whole bundle has a quarter of that.
constexpr size_t kMaxAuthoritiesBytes = size_t{1} << 20;

attest::AppraisalStep* FirstFailed(attest::AttestationResult& result) {
  const auto found = std::find_if(result.steps.begin(), result.steps.end(),
                                  [](const attest::AppraisalStep& step) { return !step.passed; });
  return found == result.steps.end() ? nullptr : &*found;
}

// What is still worth asking for: nothing unless the first failed step wants collateral.
CollateralParts Wanted(const PlatformCollateral& platform, attest::AttestationResult& result,
                       const CollateralParts& asked) {
  const attest::AppraisalStep* const failed = FirstFailed(result);
  if (failed == nullptr) {
    return {};
  }
  const attest::AttestationResult first = {.kind = result.kind, .steps = {*failed}};
  if (platform.PartsFor(first).empty()) {
    return {};
  }
  CollateralParts out = platform.PartsFor(result);
  std::erase_if(out, [&asked](CollateralPart part) { return asked.contains(part); });
  return out;
}

void Explain(const absl::Status& status, attest::AttestationResult& result) {
  attest::AppraisalStep& step = *FirstFailed(result);
  step.detail += "; it could not be fetched: " + std::string(status.message());
  step.remedy =
      "see to it that the service of the policy's `collateral` can be reached and knows this platform, or give the "
      "collateral as a file";
}

// Better said when the policy is read than at the first request.
absl::Status CheckAuthorities(const attest::CollateralServices& services) {
  const std::string& ca_file = services.ca_file;
  if (ca_file.empty()) {
    return absl::OkStatus();
  }
  const std::string where = services.ca_file_named_by.empty() ? "" : services.ca_file_named_by + ": ";
  const absl::StatusOr<Bytes> pem = ReadFile(ca_file, kMaxAuthoritiesBytes);
  if (!pem.ok()) {
    return absl::Status(pem.status().code(), where + std::string(pem.status().message()));
  }
  const auto certificates = attest::x509::CertificatesFromPem(*pem);
  if (!certificates.ok() || certificates->empty()) {
    return absl::InvalidArgumentError(where + "collateral.ca_file " + ca_file + " holds no certificates in PEM" +
                                      (certificates.ok() ? "" : ": " + std::string(certificates.status().message())));
  }
  return absl::OkStatus();
}

}  // namespace

FetchingVerifier::FetchingVerifier(attest::PolicyVerifier::Options options, Network network)
    : options_(std::move(options)), network_(network) {}

absl::StatusOr<std::unique_ptr<attest::Verifier>> FetchingVerifier::Load(const attest::AppraisalPolicy& policy,
                                                                         Network network) {
  ASSIGN_OR_RETURN(attest::PolicyVerifier::Options options, attest::PolicyVerifier::LoadFiles(policy));
  RETURN_IF_ERROR(attest::CheckAppraisalPolicy(policy));
  RETURN_IF_ERROR(CheckAuthorities(policy.services));
  return std::unique_ptr<attest::Verifier>(new FetchingVerifier(std::move(options), network));
}

attest::AttestationResult FetchingVerifier::Appraise(const attest::Evidence& evidence,
                                                     const attest::ReportData& expected, SystemTime now) const {
  const absl::MutexLock lock(&mu_);
  const std::unique_ptr<PlatformCollateral> platform = PlatformOf(evidence, options_.policy);
  CollateralParts asked;
  while (true) {
    attest::PolicyVerifier::Options options = options_;
    if (platform != nullptr) {
      platform->AddKept(options);
    }
    const auto verifier = attest::PolicyVerifier::Create(options);
    SHOJI_CHECK(verifier.ok());  // Load checked the policy
    attest::AttestationResult result = (*verifier)->Appraise(evidence, expected, now);
    if (platform == nullptr || network_ == Network::kNone) {
      return result;
    }
    const CollateralParts wanted = Wanted(*platform, result, asked);
    if (wanted.empty()) {
      return result;
    }
    if (const absl::Status fetched = platform->Fetch(wanted, options); !fetched.ok()) {
      Explain(fetched, result);
      return result;
    }
    asked.insert(wanted.begin(), wanted.end());
  }
}

}  // namespace shoji::client
