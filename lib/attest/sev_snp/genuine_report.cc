// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/sev_snp/genuine_report.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lib/attest/sev_snp/chain_choice.h"
#include "lib/attest/sev_snp/evidence_data.h"
#include "lib/attest/x509/chain.h"
#include "lib/attest/x509/ecdsa.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::sev_snp {
namespace {

constexpr const char* kRenew =
    "fetch the current revocation list of the processor's line from AMD's key distribution service and give it as "
    "collateral, or to replay old evidence, appraise it at a time at which its collateral held";

absl::StatusOr<Product> VerifyVekChain(std::span<const x509::Certificate> chain, std::span<const Root> roots) {
  const Bytes found = chain.back().PublicKeyInfo();
  for (const Root& root : roots) {
    const Bytes pinned = root.ark.PublicKeyInfo();
    if (pinned == found) {
      RETURN_IF_ERROR(x509::VerifyChain(chain, {&pinned, 1}));
      return root.product;
    }
  }
  return absl::InvalidArgumentError("the chain ends in " + chain.back().Subject() + " with a key that is not AMD's");
}

// Of the collateral's certificates for the kind of key that signed `report` one that AMD did not issue. Where none of
// them fits, it is better called that than passed over.
std::optional<x509::Certificate> FindForged(const Report& report, const Collateral& collateral,
                                            std::span<const Root> roots) {
  const std::string wanted = report.signing_key == SigningKey::kVcek ? "SEV-VCEK" : "SEV-VLEK";
  for (const x509::Certificate& certificate : collateral.certificates) {
    if (certificate.CommonName() != wanted) {
      continue;
    }
    const auto chain = ChooseChain(certificate, {}, collateral, roots);
    if (chain.ok() && !VerifyVekChain(*chain, roots).ok()) {
      return certificate;
    }
  }
  return std::nullopt;
}

bool SignedBy(const x509::Certificate& key, const Report& report) {
  const auto public_key = x509::EcdsaPublicKey::Of(x509::EcdsaScheme::kP384Sha384, key);
  return public_key.ok() && public_key->Verifies(report.signed_part, report.signature);
}

void CheckProduct(const GenuineReport& genuine, StepList& steps) {
  const std::string expected(NameOf(genuine.product));
  std::string found = "a certificate for " + genuine.key.product_name;
  bool same = genuine.key.product_name.starts_with(expected);
  if (genuine.report.version >= 3) {
    found += ", a report of CPUID family, model, stepping " + HexEncode(genuine.report.cpuid);
    same = same && StatedProduct(genuine.report) == genuine.product;
  }
  steps.Check("product", same, found, "both of " + expected + ", as the chain's root");
}

void CheckChip(const GenuineReport& genuine, StepList& steps) {
  if (genuine.key.kind == SigningKey::kVlek) {
    return;
  }
  const Bytes& id = genuine.key.hardware_id;
  // Turin's certificates hold the 8 bytes that identify a chip, the others all 64.
  const bool right_size =
      id.size() == genuine.report.chip_id.size() || (genuine.product == Product::kTurin && id.size() == 8);
  const bool same = right_size && std::equal(id.begin(), id.end(), genuine.report.chip_id.begin());
  steps.Check("chip id", same, HexEncode(genuine.report.chip_id), HexEncode(id) + ", as the VCEK",
              "use the VCEK of the chip that runs the guest; the host must not mask its CHIP_ID");
}

void CheckReportedTcb(const GenuineReport& genuine, StepList& steps) {
  const TcbVersion reported = DecodeTcbVersion(genuine.product, genuine.report.reported_tcb);
  steps.Check("reported tcb", reported == genuine.key.tcb, ToString(reported, genuine.product),
              ToString(genuine.key.tcb, genuine.product) + ", as the certificate",
              "fetch the certificate for the REPORTED_TCB of this report");
}

// The lists of the chain's authorities. Every one given must be genuine; the newest of the root's that holds at `now`
// is returned. NOT_FOUND when there is none of the root's.
absl::StatusOr<const x509::RevocationList*> FindRootList(const GenuineReport& genuine, const Collateral& collateral,
                                                         SystemTime now) {
  const x509::RevocationList* best = nullptr;
  std::string stale;
  for (const x509::RevocationList& list : collateral.revocation_lists) {
    for (const x509::Certificate& issuer : {genuine.chain[1], genuine.chain[2]}) {
      if (list.NamesIssuer(issuer)) {
        RETURN_IF_ERROR(list.CheckIssuedBy(issuer));
      }
    }
    if (!list.NamesIssuer(genuine.chain[2])) {
      continue;
    }
    const x509::Validity window = list.validity();
    if (now < window.from || now > window.until) {
      stale = "the revocation list of " + list.Issuer() + " holds from " + x509::TimeToString(window.from) + " to " +
              x509::TimeToString(window.until) + ", not at " + x509::TimeToString(now);
    } else if (best == nullptr || window.from > best->validity().from) {
      best = &list;
    }
  }
  if (best == nullptr) {
    return stale.empty() ? absl::NotFoundError("found none of " + genuine.chain[2].Subject())
                         : absl::InvalidArgumentError(stale);
  }
  return best;
}

absl::Status FindRevoked(const GenuineReport& genuine, const Collateral& collateral) {
  for (const x509::RevocationList& list : collateral.revocation_lists) {
    for (const x509::Certificate& certificate : genuine.chain) {
      if (list.Revokes(certificate)) {
        return absl::InvalidArgumentError(certificate.Subject() + " is revoked by " + list.Issuer());
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<GenuineReport> VerifyReport(ByteSpan data, const Collateral& collateral, std::span<const Root> roots,
                                          StepList& steps) {
  const absl::StatusOr<EvidenceData> evidence = ParseEvidenceData(data);
  absl::StatusOr<Report> report = evidence.ok() ? ParseReport(evidence->report) : evidence.status();
  if (!steps.Check("structure", report.status(),
                   report.ok() ? "SEV-SNP report, version " + std::to_string(report->version) : "")) {
    return std::nullopt;
  }
  absl::StatusOr<x509::Certificate> key = ChooseEndorsementKey(*report, *evidence, collateral);
  if (absl::IsNotFound(key.status())) {
    if (std::optional<x509::Certificate> forged = FindForged(*report, collateral, roots)) {
      key = *std::move(forged);
    }
  }
  if (!steps.Check("endorsement key", key.status(),
                   "signed with a " + std::string(NameOf(report->signing_key)) + ", whose certificate is there")) {
    return std::nullopt;
  }
  absl::StatusOr<std::vector<x509::Certificate>> chain = ChooseChain(*key, *evidence, collateral, roots);
  const absl::StatusOr<Product> product = chain.ok() ? VerifyVekChain(*chain, roots) : chain.status();
  if (!steps.Check("vek chain", product.status(),
                   product.ok()
                       ? "issued by " + (*chain)[1].CommonName() + ", up to the pinned " + (*chain)[2].CommonName()
                       : "")) {
    return std::nullopt;
  }
  absl::StatusOr<EndorsementKey> read = ReadEndorsementKey(*key);
  if (!steps.Check("vek certificate", read.status(), read.ok() ? "for " + read->product_name : "") ||
      !steps.Check("report signature", SignedBy(*key, *report), "signed by that key",
                   "a report that the processor's " + std::string(NameOf(report->signing_key)) + " signed")) {
    return std::nullopt;
  }
  return GenuineReport{*std::move(report), *product, *std::move(chain), *std::move(read)};
}

std::optional<SystemTime> AppraiseEndorsement(const GenuineReport& genuine, const Collateral& collateral,
                                              MissingList missing, SystemTime now, StepList& steps) {
  CheckProduct(genuine, steps);
  CheckChip(genuine, steps);
  CheckReportedTcb(genuine, steps);
  steps.Check("certificate validity", x509::CheckValidity(genuine.chain, now),
              "the chain is valid at " + x509::TimeToString(now));
  const absl::StatusOr<const x509::RevocationList*> list = FindRootList(genuine, collateral, now);
  if (absl::IsNotFound(list.status()) && missing == MissingList::kAccepted) {
    steps.Check("revocation list", true, "none given, which the policy accepts", "");
    // A list of the certificates in between, should there be one, holds.
    steps.Check("revocation", FindRevoked(genuine, collateral), "no certificate of the chain is known to be revoked");
    return std::nullopt;
  }
  const bool usable = steps.Check("revocation list", list.status(),
                                  list.ok() ? "issued " + x509::TimeToString((*list)->validity().from) +
                                                  ", next update " + x509::TimeToString((*list)->validity().until)
                                            : "",
                                  kRenew);
  if (!usable) {
    steps.Check("revocation", false, "no usable revocation list", "a genuine and current one", kRenew);
    return std::nullopt;
  }
  steps.Check("revocation", FindRevoked(genuine, collateral), "no certificate of the chain is revoked");
  return (*list)->validity().from;
}

}  // namespace shoji::attest::sev_snp
