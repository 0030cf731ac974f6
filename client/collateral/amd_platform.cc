// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/collateral/amd_platform.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "client/collateral/collateral_cache.h"
#include "lib/attest/sev_snp/chain_choice.h"
#include "lib/attest/sev_snp/endorsement_key.h"
#include "lib/attest/sev_snp/evidence_data.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"

namespace shoji::client {
namespace {

using attest::sev_snp::Product;
using attest::sev_snp::Report;
using attest::sev_snp::SigningKey;
using enum CollateralPart;

constexpr size_t kTurinChipIdBytes = 8;

std::string KeyName(const Report& report) {
  return absl::AsciiStrToLower(std::string(attest::sev_snp::NameOf(report.signing_key)));
}

// Reports before version 3 do not say which line; Turin makes none of those.
std::vector<Product> LinesOf(const Report& report, const attest::SnpPolicy& policy) {
  const std::optional<Product> stated = attest::sev_snp::StatedProduct(report);
  std::vector<Product> out;
  for (const auto& [line, minimum] : policy.minimum_tcb) {
    if (stated.has_value() ? line == *stated : report.version < 3 && line != Product::kTurin) {
      out.push_back(line);
    }
  }
  return out;
}

// Whether the host sent along what a step would use instead of collateral.
CollateralParts PartsInEvidence(ByteSpan data) {
  CollateralParts out;
  const auto evidence = attest::sev_snp::ParseEvidenceData(data);
  if (evidence.ok() && !evidence->endorsement_keys.empty()) {
    out.insert(kEndorsementKey);
  }
  if (evidence.ok() && !evidence->authorities.empty()) {
    out.insert(kAuthorities);
  }
  return out;
}

}  // namespace

AmdPlatform::AmdPlatform(attest::CollateralServices services, Report report, Bytes evidence, std::vector<Product> lines)
    : services_(std::move(services)),
      report_(std::move(report)),
      evidence_(std::move(evidence)),
      lines_(std::move(lines)) {}

absl::StatusOr<std::unique_ptr<PlatformCollateral>> AmdPlatform::Of(const attest::Evidence& evidence,
                                                                    const attest::AppraisalPolicy& policy) {
  ASSIGN_OR_RETURN(const attest::sev_snp::EvidenceData data, attest::sev_snp::ParseEvidenceData(evidence.data));
  ASSIGN_OR_RETURN(Report report, attest::sev_snp::ParseReport(data.report));
  std::vector<Product> lines = LinesOf(report, *policy.sev_snp);
  if (lines.empty()) {
    return absl::InvalidArgumentError("the report is of no line of processors that the policy accepts");
  }
  return std::unique_ptr<PlatformCollateral>(
      new AmdPlatform(policy.services, std::move(report), evidence.data, std::move(lines)));
}

std::string AmdPlatform::Path(Product line, CollateralPart part) const {
  const std::string name = services_.cache_directory + "/amd/" + std::string(attest::sev_snp::NameOf(line)) + "-";
  switch (part) {
    case kEndorsementKey:
      return name + HexEncode(report_.chip_id) + "-" + HexEncode(report_.reported_tcb) + ".der";
    case kAuthorities:
      return name + KeyName(report_) + "-chain.pem";
    default:
      return name + KeyName(report_) + "-crl.der";
  }
}

std::string AmdPlatform::Url(Product line, CollateralPart part) const {
  const std::string root = ServiceRoot(services_.amd_url) + "/" + KeyName(report_) + "/v1/" +
                           std::string(attest::sev_snp::NameOf(line)) + "/";
  if (part == kAuthorities) {
    return root + "cert_chain";
  }
  if (part == kRevocationList) {
    return root + "crl";
  }
  const attest::sev_snp::TcbVersion tcb = DecodeTcbVersion(line, report_.reported_tcb);
  const bool is_turin = line == Product::kTurin;
  const ByteSpan chip = ByteSpan(report_.chip_id).first(is_turin ? kTurinChipIdBytes : report_.chip_id.size());
  return root + HexEncode(chip) + "?" + (is_turin ? "fmcSPL=" + std::to_string(tcb.fmc) + "&" : "") +
         "blSPL=" + std::to_string(tcb.bootloader) + "&teeSPL=" + std::to_string(tcb.tee) +
         "&snpSPL=" + std::to_string(tcb.snp) + "&ucodeSPL=" + std::to_string(tcb.microcode);
}

std::vector<Product> AmdPlatform::LinesBy(const attest::sev_snp::Collateral& collateral) const {
  const auto data = attest::sev_snp::ParseEvidenceData(evidence_);
  const auto certificate = data.ok() ? ChooseEndorsementKey(report_, *data, collateral) : data.status();
  const auto key = certificate.ok() ? attest::sev_snp::ReadEndorsementKey(*certificate) : certificate.status();
  for (const Product line : lines_) {
    if (key.ok() && key->product_name.starts_with(attest::sev_snp::NameOf(line))) {
      return {line};
    }
  }
  return lines_;
}

void AmdPlatform::AddKept(attest::PolicyVerifier::Options& options) const {
  for (const Product line : lines_) {
    for (const CollateralPart part : {kEndorsementKey, kAuthorities, kRevocationList}) {
      const absl::StatusOr<attest::sev_snp::Collateral> kept = attest::sev_snp::LoadCollateral(Path(line, part));
      if (kept.ok()) {
        attest::sev_snp::Collateral& out = options.amd_collateral;
        out.certificates.insert(out.certificates.end(), kept->certificates.begin(), kept->certificates.end());
        out.revocation_lists.insert(out.revocation_lists.end(), kept->revocation_lists.begin(),
                                    kept->revocation_lists.end());
      }
    }
  }
}

CollateralParts AmdPlatform::PartsFor(const attest::AttestationResult& result) const {
  static constexpr std::pair<const char*, CollateralPart> kParts[] = {
      {"endorsement key", kEndorsementKey}, {"chip id", kEndorsementKey},         {"reported tcb", kEndorsementKey},
      {"vek chain", kAuthorities},          {"revocation list", kRevocationList}, {"collateral age", kRevocationList},
  };
  CollateralParts out;
  if (services_.amd_url.empty()) {
    return out;
  }
  const CollateralParts in_evidence = PartsInEvidence(evidence_);
  for (const attest::AppraisalStep& step : result.steps) {
    for (const auto& [name, part] : kParts) {
      // No chain leads to a damaged key, either: one that was kept is asked for anew before the chain is.
      const CollateralPart wanted = step.name == "vek chain" && MayReplaceKey(in_evidence) ? kEndorsementKey : part;
      if (!step.passed && step.name == name && !in_evidence.contains(wanted)) {
        out.insert(wanted);
      }
    }
  }
  return out;
}

bool AmdPlatform::MayReplaceKey(const CollateralParts& in_evidence) const {
  return !has_fetched_key_ && !in_evidence.contains(kEndorsementKey) && report_.signing_key == SigningKey::kVcek &&
         std::any_of(lines_.begin(), lines_.end(), [this](Product line) {
           return attest::sev_snp::LoadCollateral(Path(line, kEndorsementKey)).ok();
         });
}

absl::Status AmdPlatform::FetchFrom(Product line, CollateralPart part) const {
  const std::string url = Url(line, part);
  ASSIGN_OR_RETURN(const HttpReply reply, HttpGet(url, LimitsOf(services_)));
  attest::sev_snp::Collateral read;
  const absl::Status readable = attest::sev_snp::AddTo(read, reply.body);
  if (!readable.ok()) {
    return absl::DataLossError(url + " answers with what is no collateral: " + std::string(readable.message()) +
                               "; check the address");
  }
  return KeepInCache(services_, Path(line, part), reply.body);
}

absl::Status AmdPlatform::Fetch(const CollateralParts& parts, const attest::PolicyVerifier::Options& options) {
  for (const CollateralPart part : parts) {
    if (part == kEndorsementKey && report_.signing_key == SigningKey::kVlek) {
      return absl::FailedPreconditionError(
          "AMD gives a VLEK only to the cloud provider that it is for; have the host send it with the evidence, or "
          "give "
          "it as a file");
    }
    absl::Status status = absl::UnknownError("");
    for (const Product line : part == kEndorsementKey ? lines_ : LinesBy(options.amd_collateral)) {
      status = FetchFrom(line, part);
      if (!absl::IsNotFound(status)) {
        break;  // the service of another line knows nothing of this chip
      }
    }
    RETURN_IF_ERROR(status);
    has_fetched_key_ = has_fetched_key_ || part == kEndorsementKey;
  }
  return absl::OkStatus();
}

}  // namespace shoji::client
