// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/collateral/platform_collateral.h"
#include "lib/attest/appraisal/collateral_services.h"
#include "lib/attest/intel/collateral.h"
#include "lib/attest/intel/quote.h"

namespace shoji::client {

// Of SGX and TDX: one JSON file for each TEE, FMSPC and PCK CA, CACHE/intel/tdx-b0c06f000000-platform.json, replaced as
// a whole (attest::intel::ParseCollateralJson says what is in it).
class IntelPlatform final : public PlatformCollateral {
 public:
  // INVALID_ARGUMENT for what is no quote with a PCK certificate.
  static absl::StatusOr<std::unique_ptr<PlatformCollateral>> Of(const attest::Evidence& evidence,
                                                                const attest::CollateralServices& services);

  void AddKept(attest::PolicyVerifier::Options& options) const override;
  CollateralParts PartsFor(const attest::AttestationResult& result) const override;
  absl::Status Fetch(const CollateralParts& parts, const attest::PolicyVerifier::Options& options) override;

 private:
  IntelPlatform(const attest::CollateralServices& services, attest::intel::TeeType tee, std::string fmspc,
                std::string ca);

  std::string Path() const;
  std::optional<attest::intel::Collateral> ReadKept() const;
  absl::Status FetchPart(CollateralPart part, attest::intel::Collateral& out) const;
  absl::Status FetchSigned(const std::string& what, const char* chain_header, attest::intel::SignedText& out) const;
  absl::Status FetchPckList(attest::intel::Collateral& out) const;

  const attest::CollateralServices services_;
  const std::string tee_;    // "sgx" or "tdx", as in addresses
  const std::string fmspc_;  // hexadecimal
  const std::string ca_;     // "platform" or "processor"
  // Once something was fetched, what is kept is all that counts: Intel's word of today before an older file's.
  bool fetched_ = false;
};

}  // namespace shoji::client
