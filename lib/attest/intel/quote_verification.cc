// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/intel/quote_verification.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "lib/attest/x509/chain.h"
#include "lib/attest/x509/ecdsa.h"
#include "lib/base/status_macros.h"
#include "lib/digest/sha2.h"

namespace shoji::attest::intel {
namespace {

using x509::EcdsaPublicKey;
using x509::EcdsaScheme;

constexpr size_t kPckChainLength = 3;

absl::StatusOr<Quote> ParseFor(ByteSpan bytes, TeeType tee) {
  ASSIGN_OR_RETURN(Quote quote, ParseQuote(bytes));
  if (quote.tee() != tee) {
    return absl::InvalidArgumentError("found a quote of " + std::string(NameOf(quote.tee())) + "; expected one of " +
                                      std::string(NameOf(tee)));
  }
  return quote;
}

absl::StatusOr<std::vector<x509::Certificate>> VerifyPckChain(const Bytes& pem, const Bytes& root_key) {
  ASSIGN_OR_RETURN(std::vector<x509::Certificate> chain, x509::CertificatesFromPem(pem));
  if (chain.size() != kPckChainLength) {
    return absl::InvalidArgumentError("found a chain of " + std::to_string(chain.size()) +
                                      " certificates; expected PCK certificate, PCK CA and root");
  }
  RETURN_IF_ERROR(x509::VerifyChain(chain, {&root_key, 1}));
  return chain;
}

// The QE vouches for the attestation key: REPORTDATA is SHA-256(key || auth data) || 32 zero bytes.
bool BindsAttestationKey(const Quote& quote) {
  Bytes bound(quote.attestation_key.begin(), quote.attestation_key.end());
  Append(bound, quote.qe_auth_data);
  ReportDataBytes expected = {};
  const digest::Sha256Digest digest = digest::Sha256(bound);
  std::copy(digest.begin(), digest.end(), expected.begin());
  return quote.qe_report.report_data == expected;
}

bool SignedByAttestationKey(const Quote& quote) {
  const auto key = EcdsaPublicKey::FromPoint(EcdsaScheme::kP256Sha256, quote.attestation_key);
  return key.ok() && key->Verifies(quote.signed_part, quote.signature);
}

bool QeReportSignedBy(const x509::Certificate& pck, const Quote& quote) {
  const auto key = EcdsaPublicKey::Of(EcdsaScheme::kP256Sha256, pck);
  return key.ok() && key->Verifies(quote.qe_report_bytes, quote.qe_report_signature);
}

}  // namespace

std::vector<std::string> QuoteClaims::Advisories() const {
  std::set<std::string> out;
  for (const std::optional<TcbVerdict>* verdict : {&tcb, &qe_tcb, &tdx_module}) {
    if (verdict->has_value()) {
      out.insert((*verdict)->advisories.begin(), (*verdict)->advisories.end());
    }
  }
  return {out.begin(), out.end()};
}

std::optional<QuoteClaims> VerifyQuoteSignatures(ByteSpan bytes, TeeType tee, const Bytes& root_key, StepList& steps) {
  absl::StatusOr<Quote> quote = ParseFor(bytes, tee);
  if (!steps.Check("structure", quote.status(),
                   quote.ok() ? std::string(NameOf(tee)) + " quote, version " + std::to_string(quote->version) : "",
                   "evidence of this kind, as the platform's quoting enclave made it")) {
    return std::nullopt;
  }
  absl::StatusOr<std::vector<x509::Certificate>> chain = VerifyPckChain(quote->pck_chain, root_key);
  if (!steps.Check("pck chain", chain.status(),
                   chain.ok() ? "issued by " + (*chain)[1].CommonName() + ", up to the pinned root" : "")) {
    return std::nullopt;
  }
  QuoteClaims claims;
  const absl::StatusOr<PckPlatform> platform = ReadPckCertificate(chain->front());
  if (!steps.Check("pck certificate", platform.status(),
                   platform.ok() ? "platform with FMSPC " + HexEncode(platform->fmspc) : "")) {
    return std::nullopt;
  }
  const auto check = [&steps](const char* step, bool passed, const char* is, const char* is_not, const char* expected) {
    return steps.Check(step, passed, passed ? is : is_not, expected);
  };
  const bool genuine =
      check("qe report signature", QeReportSignedBy(chain->front(), *quote), "signed by the PCK certificate's key",
            "a signature that does not verify under the PCK certificate's key",
            "a QE report that the platform's PCK signed") &&
      check("attestation key", BindsAttestationKey(*quote), "bound by the QE report",
            "another key than the QE report vouches for",
            "a QE report whose report data is the digest of the attestation key") &&
      check("quote signature", SignedByAttestationKey(*quote), "signed by the attestation key",
            "a signature that does not verify under the attestation key", "a quote that the attestation key signed");
  if (!genuine) {
    return std::nullopt;
  }
  claims.platform = *platform;
  claims.quote = *std::move(quote);
  claims.pck_chain = *std::move(chain);
  return claims;
}

}  // namespace shoji::attest::intel
