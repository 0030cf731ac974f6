// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/sev_snp/chain_choice.h"

#include <algorithm>
#include <string>

#include "lib/base/status_macros.h"

namespace shoji::attest::sev_snp {
namespace {

constexpr const char* kRequest =
    "; have the host give it with the evidence, or fetch it from AMD's key distribution service and give it as "
    "collateral";

bool IsEndorsementKey(const x509::Certificate& certificate) {
  const std::string name = certificate.CommonName();
  return name == "SEV-VCEK" || name == "SEV-VLEK";
}

// How well `key` fits: 0 not at all, 1 the kind and chip, 2 also the TCB.
int Fit(const EndorsementKey& key, const Report& report) {
  const bool right_chip = key.kind == SigningKey::kVlek ||
                          std::equal(key.hardware_id.begin(), key.hardware_id.end(), report.chip_id.begin());
  if (key.kind != report.signing_key || !right_chip) {
    return 0;
  }
  for (const Product product : kAllProducts) {
    if (key.product_name.starts_with(NameOf(product))) {
      return key.tcb == DecodeTcbVersion(product, report.reported_tcb) ? 2 : 1;
    }
  }
  return 1;
}

const x509::Certificate* FindSubject(std::span<const x509::Certificate> certificates, const std::string& subject) {
  const auto found =
      std::find_if(certificates.begin(), certificates.end(),
                   [&subject](const x509::Certificate& certificate) { return certificate.Subject() == subject; });
  return found == certificates.end() ? nullptr : &*found;
}

// Of `authorities` the one of the name, or of the trusted key of that name, so that a damaged root is used and refused;
// the trusted root itself where there is neither.
absl::StatusOr<x509::Certificate> ChooseRoot(const x509::Certificate& issuer,
                                             std::span<const x509::Certificate> authorities,
                                             std::span<const Root> roots) {
  const std::string name = issuer.Issuer();
  if (const x509::Certificate* root = FindSubject(authorities, name); root != nullptr) {
    return *root;
  }
  for (const Root& root : roots) {
    if (root.ark.Subject() != name) {
      continue;
    }
    const Bytes key = root.ark.PublicKeyInfo();
    const auto found =
        std::find_if(authorities.begin(), authorities.end(),
                     [&key](const x509::Certificate& certificate) { return certificate.PublicKeyInfo() == key; });
    return found == authorities.end() ? root.ark : *found;
  }
  return absl::NotFoundError("found no root " + name);
}

}  // namespace

absl::StatusOr<x509::Certificate> ChooseEndorsementKey(const Report& report, const EvidenceData& evidence,
                                                       const Collateral& collateral) {
  const std::string wanted = report.signing_key == SigningKey::kVcek ? "SEV-VCEK" : "SEV-VLEK";
  for (const x509::Certificate& certificate : evidence.endorsement_keys) {
    if (certificate.CommonName() == wanted) {
      return certificate;
    }
  }
  const x509::Certificate* best = nullptr;
  int best_fit = 0;
  for (const x509::Certificate& certificate : collateral.certificates) {
    const absl::StatusOr<EndorsementKey> key =
        IsEndorsementKey(certificate) ? ReadEndorsementKey(certificate) : absl::NotFoundError("");
    if (const int fit = key.ok() ? Fit(*key, report) : 0; fit > best_fit) {
      best = &certificate;
      best_fit = fit;
    }
  }
  if (best == nullptr) {
    return absl::NotFoundError("found no " + wanted + " certificate for chip " + HexEncode(report.chip_id) +
                               " with REPORTED_TCB " + HexEncode(report.reported_tcb) + kRequest);
  }
  return *best;
}

absl::StatusOr<std::vector<x509::Certificate>> ChooseChain(const x509::Certificate& key, const EvidenceData& evidence,
                                                           const Collateral& collateral, std::span<const Root> roots) {
  std::vector<x509::Certificate> authorities = evidence.authorities;
  if (authorities.empty()) {
    std::copy_if(collateral.certificates.begin(), collateral.certificates.end(), std::back_inserter(authorities),
                 [](const x509::Certificate& certificate) { return !IsEndorsementKey(certificate); });
  }
  if (authorities.empty()) {
    authorities = AmdIntermediates();
  }
  const x509::Certificate* issuer = FindSubject(authorities, key.Issuer());
  if (issuer == nullptr) {
    return absl::NotFoundError("found no certificate of " + key.IssuerCommonName() + ", which issued the " +
                               key.CommonName() + ", among the " + std::to_string(authorities.size()) + " given");
  }
  ASSIGN_OR_RETURN(const x509::Certificate root, ChooseRoot(*issuer, authorities, roots));
  return std::vector<x509::Certificate>{key, *issuer, root};
}

}  // namespace shoji::attest::sev_snp
