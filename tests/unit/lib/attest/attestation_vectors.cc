// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/lib/attest/attestation_vectors.h"

#include <filesystem>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/base/check.h"
#include "lib/base/file.h"

namespace shoji::testing {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;

Bytes Read(const std::string& path) {
  absl::StatusOr<Bytes> out = ReadFile(path, kMaxBytes);
  SHOJI_CHECK(out.ok());
  return *std::move(out);
}

}  // namespace

std::string AttestationVectorPath(const std::string& name) {
  return std::string(SHOJI_SOURCE_DIR) + "/tests/vectors/attestation/" + name;
}

Bytes AttestationVector(const std::string& name) { return Read(AttestationVectorPath(name)); }

std::string SharedVectorPath(const std::string& name) {
  return std::string(SHOJI_SOURCE_DIR) + "/../shared/vectors/attestation/" + name;
}

bool HasSharedVectors() { return std::filesystem::exists(SharedVectorPath("README.md")); }

Bytes SharedVector(const std::string& name) { return Read(SharedVectorPath(name)); }

SystemTime UnixTime(int64_t seconds) { return SystemTime(std::chrono::seconds(seconds)); }

attest::intel::Collateral CollateralOf(const Bytes& json) {
  absl::StatusOr<attest::intel::Collateral> out = attest::intel::ParseCollateralJson(json, "vector");
  SHOJI_CHECK(out.ok());
  return *std::move(out);
}

attest::intel::Collateral SgxCollateral() {
  return CollateralOf(AttestationVector("dcapqvl_sgx_quote_v3.collateral.json"));
}

attest::intel::Collateral TdxCollateral() {
  return CollateralOf(AttestationVector("dcapqvl_tdx_quote.collateral.json"));
}

std::string FailedSteps(const attest::AttestationResult& result) {
  std::string out;
  for (const attest::AppraisalStep& step : result.steps) {
    if (!step.passed) {
      out += (out.empty() ? "" : ", ") + step.name;
    }
  }
  return out;
}

std::string DetailOf(const attest::AttestationResult& result, const std::string& name) {
  for (const attest::AppraisalStep& step : result.steps) {
    if (step.name == name) {
      return step.detail;
    }
  }
  return "no such step";
}

std::string ClaimOf(const attest::AttestationResult& result, const std::string& name) {
  for (const attest::Claim& claim : result.claims) {
    if (claim.name == name) {
      return claim.value;
    }
  }
  return "no such claim";
}

}  // namespace shoji::testing
