// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/collateral/intel_platform.h"

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "client/collateral/collateral_cache.h"
#include "lib/attest/intel/pck_certificate.h"
#include "lib/attest/x509/certificate.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"

namespace shoji::client {
namespace {

using attest::intel::Collateral;
using enum CollateralPart;

const CollateralParts kAllParts = {kTcbInfo, kQeIdentity, kRootRevocationList, kPckRevocationList};

// What may make a step pass that failed.
CollateralParts PartsForStep(const std::string& step) {
  static constexpr std::pair<const char*, CollateralPart> kParts[] = {
      {"root revocation list", kRootRevocationList},
      {"pck revocation list", kPckRevocationList},
      {"qe identity signature", kQeIdentity},
      {"qe identity validity", kQeIdentity},
      {"qe identity", kQeIdentity},
      {"tcb info signature", kTcbInfo},
      {"tcb info validity", kTcbInfo},
      {"tcb info platform", kTcbInfo},
  };
  for (const auto& [name, part] : kParts) {
    if (step == name) {
      return {part};
    }
  }
  if (step == "tcb evaluation") {
    return {kTcbInfo, kQeIdentity};
  }
  return step == "collateral" || step == "collateral age" ? kAllParts : CollateralParts();
}

// What an answer that cannot be read is called. What is read is judged by the verifier.
absl::Status Unreadable(const std::string& url, const absl::Status& status) {
  return absl::DataLossError(url + " answers with what is no collateral: " + std::string(status.message()) +
                             "; check the address");
}

absl::StatusOr<Bytes> ChainOf(const HttpReply& reply, const char* header, const std::string& url) {
  const auto found = reply.headers.find(header);
  if (found == reply.headers.end()) {
    return Unreadable(url, absl::NotFoundError(std::string("there is no header ") + header));
  }
  const Bytes pem = ToBytes(PercentDecode(found->second));
  const auto chain = attest::x509::CertificatesFromPem(pem);
  return chain.ok() ? absl::StatusOr<Bytes>(pem) : Unreadable(url, chain.status());
}

absl::StatusOr<Bytes> ListOf(const HttpReply& reply, const std::string& url) {
  absl::StatusOr<Bytes> der = attest::intel::RevocationListToDer(reply.body);
  const absl::Status readable = der.ok() ? attest::x509::RevocationList::FromDer(*der).status() : der.status();
  return readable.ok() ? std::move(der) : Unreadable(url, readable);
}

}  // namespace

IntelPlatform::IntelPlatform(const attest::CollateralServices& services, attest::intel::TeeType tee, std::string fmspc,
                             std::string ca)
    : services_(services),
      tee_(tee == attest::intel::TeeType::kSgx ? "sgx" : "tdx"),
      fmspc_(std::move(fmspc)),
      ca_(std::move(ca)) {}

absl::StatusOr<std::unique_ptr<PlatformCollateral>> IntelPlatform::Of(const attest::Evidence& evidence,
                                                                      const attest::CollateralServices& services) {
  ASSIGN_OR_RETURN(const attest::intel::Quote quote, attest::intel::ParseQuote(evidence.data));
  ASSIGN_OR_RETURN(const std::vector<attest::x509::Certificate> chain,
                   attest::x509::CertificatesFromPem(quote.pck_chain));
  ASSIGN_OR_RETURN(const attest::intel::PckPlatform platform, attest::intel::ReadPckCertificate(chain.front()));
  const std::string ca = chain.front().IssuerCommonName() == "Intel SGX PCK Platform CA" ? "platform" : "processor";
  return std::unique_ptr<PlatformCollateral>(new IntelPlatform(services, quote.tee(), HexEncode(platform.fmspc), ca));
}

std::string IntelPlatform::Path() const {
  return services_.cache_directory + "/intel/" + tee_ + "-" + fmspc_ + "-" + ca_ + ".json";
}

std::optional<Collateral> IntelPlatform::ReadKept() const {
  const absl::StatusOr<Bytes> file = ReadFile(Path(), attest::intel::kMaxCollateralBytes);
  absl::StatusOr<Collateral> read =
      file.ok() ? attest::intel::ParseCollateralJson(*file, Path()) : absl::StatusOr<Collateral>(file.status());
  return read.ok() ? std::optional<Collateral>(*std::move(read)) : std::nullopt;
}

void IntelPlatform::AddKept(attest::PolicyVerifier::Options& options) const {
  std::optional<Collateral> kept = ReadKept();
  if (kept.has_value()) {
    if (fetched_) {
      options.intel_collateral.clear();
    }
    options.intel_collateral.push_back(*std::move(kept));
  }
}

CollateralParts IntelPlatform::PartsFor(const attest::AttestationResult& result) const {
  CollateralParts out;
  bool kept_was_used = false;
  for (const attest::AppraisalStep& step : result.steps) {
    if (!step.passed) {
      out.merge(PartsForStep(step.name));
    } else if (step.name == "collateral") {
      kept_was_used = step.detail == Path();
    }
  }
  if (services_.intel_url.empty() || out.empty()) {
    return {};
  }
  // Nothing of a file is mixed with what is fetched.
  return kept_was_used ? out : kAllParts;
}

absl::Status IntelPlatform::FetchSigned(const std::string& what, const char* chain_header,
                                        attest::intel::SignedText& out) const {
  const std::string url = ServiceRoot(services_.intel_url) + "/" + tee_ + "/certification/v4/" + what;
  ASSIGN_OR_RETURN(const HttpReply reply, HttpGet(url, LimitsOf(services_)));
  absl::StatusOr<attest::intel::SignedText> body = attest::intel::ParsePcsBody(reply.body);
  if (!body.ok()) {
    return Unreadable(url, body.status());
  }
  ASSIGN_OR_RETURN(body->issuer_chain, ChainOf(reply, chain_header, url));
  out = *std::move(body);
  return absl::OkStatus();
}

absl::Status IntelPlatform::FetchPckList(Collateral& out) const {
  // One list for both TEEs, under the name of the older.
  const std::string url = ServiceRoot(services_.intel_url) + "/sgx/certification/v4/pckcrl?ca=" + ca_ + "&encoding=der";
  ASSIGN_OR_RETURN(const HttpReply reply, HttpGet(url, LimitsOf(services_)));
  ASSIGN_OR_RETURN(out.pck_crl, ListOf(reply, url));
  const absl::StatusOr<Bytes> chain = ChainOf(reply, "sgx-pck-crl-issuer-chain", url);
  out.pck_crl_issuer_chain = chain.ok() ? *chain : Bytes();  // the quote brings it too
  return absl::OkStatus();
}

absl::Status IntelPlatform::FetchPart(CollateralPart part, Collateral& out) const {
  switch (part) {
    case kTcbInfo:
      return FetchSigned("tcb?fmspc=" + fmspc_, "tcb-info-issuer-chain", out.tcb_info);
    case kQeIdentity:
      return FetchSigned("qe/identity", "sgx-enclave-identity-issuer-chain", out.qe_identity);
    case kPckRevocationList:
      return FetchPckList(out);
    case kRootRevocationList: {
      const std::string url = attest::RootCrlUrl(services_);
      ASSIGN_OR_RETURN(const HttpReply reply, HttpGet(url, LimitsOf(services_)));
      ASSIGN_OR_RETURN(out.root_ca_crl, ListOf(reply, url));
      return absl::OkStatus();
    }
    default:
      return absl::InternalError("not a part of Intel's collateral");
  }
}

absl::Status IntelPlatform::Fetch(const CollateralParts& parts, const attest::PolicyVerifier::Options& /*options*/) {
  std::optional<Collateral> kept = ReadKept();
  const CollateralParts& wanted = kept.has_value() ? parts : kAllParts;
  Collateral out = kept.has_value() ? *std::move(kept) : Collateral();
  for (const CollateralPart part : wanted) {
    RETURN_IF_ERROR(FetchPart(part, out));
  }
  RETURN_IF_ERROR(KeepInCache(services_, Path(), AsBytes(attest::intel::EncodeCollateralJson(out))));
  fetched_ = true;
  return absl::OkStatus();
}

}  // namespace shoji::client
