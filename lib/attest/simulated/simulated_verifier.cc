// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/simulated/simulated_verifier.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

namespace shoji::attest {
namespace {

using EvpPkey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

bool SignatureIsValid(const SimulatedEvidence& evidence) {
  const EvpPkey key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, evidence.signer.data(), evidence.signer.size()),
      EVP_PKEY_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (key == nullptr || context == nullptr) {
    return false;
  }
  const Bytes message = SimulatedEvidenceSignedMessage(evidence);
  return EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), evidence.signature.data(), evidence.signature.size(), message.data(),
                          message.size()) == 1;
}

AppraisalStep Step(std::string name, bool passed, const std::string& found, const std::string& when_failed) {
  return {std::move(name), passed, passed ? found : when_failed};
}

}  // namespace

absl::StatusOr<Ed25519PublicKey> ParseEd25519PublicKeyPem(ByteSpan pem) {
  if (pem.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    return absl::InvalidArgumentError("the public key file is too large");
  }
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                      BIO_free);
  const EvpPkey key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  Ed25519PublicKey out = {};
  size_t size = out.size();
  if (key == nullptr || EVP_PKEY_id(key.get()) != EVP_PKEY_ED25519 ||
      EVP_PKEY_get_raw_public_key(key.get(), out.data(), &size) != 1 || size != out.size()) {
    return absl::InvalidArgumentError("not an Ed25519 public key in PEM; `openssl pkey -in KEY -pubout` writes one");
  }
  return out;
}

absl::StatusOr<std::unique_ptr<Verifier>> SimulatedVerifier::Create(Options options) {
  if (options.signers.empty()) {
    return absl::InvalidArgumentError("simulated evidence needs the public key of the operator who signs it");
  }
  return std::unique_ptr<Verifier>(new SimulatedVerifier(std::move(options)));
}

SimulatedVerifier::SimulatedVerifier(Options options) : options_(std::move(options)) {}

AttestationResult SimulatedVerifier::Appraise(const Evidence& evidence, const ReportData& expected,
                                              SystemTime /*now*/) const {
  AttestationResult result;
  result.kind = evidence.kind;
  if (evidence.kind != EvidenceKind::kSimulated) {
    result.steps.push_back({"kind", false, "expected simulated evidence, found " + std::string(NameOf(evidence.kind))});
    return result;
  }
  const absl::StatusOr<SimulatedEvidence> decoded = DecodeSimulatedEvidence(evidence.data);
  result.steps.push_back(Step("structure", decoded.ok(), "SIMULATED evidence, version 1: no TEE stands behind it",
                              std::string(decoded.status().message())));
  if (!decoded.ok()) {
    return result;
  }
  result.claims = {{"measurement", HexEncode(decoded->measurement)},
                   {"signer", HexEncode(decoded->signer)},
                   {"debug", decoded->debug ? "true" : "false"},
                   {"report_data", HexEncode(decoded->report_data)}};
  const bool known =
      std::find(options_.signers.begin(), options_.signers.end(), decoded->signer) != options_.signers.end();
  const std::string signer = HexEncode(decoded->signer);
  result.steps.push_back(Step("signer", known, "signed by the given key " + signer,
                              "found key " + signer + ", expected " + HexEncode(options_.signers.front()) +
                                  (options_.signers.size() > 1 ? " or another of those given" : "")));
  result.steps.push_back(Step("signature", SignatureIsValid(*decoded), "the Ed25519 signature is valid",
                              "the Ed25519 signature does not match the evidence"));
  result.steps.push_back(Step("debug", !decoded->debug, "not a debug enclave", "this is a debug enclave"));
  const bool measured = options_.measurements.empty() ||
                        std::find(options_.measurements.begin(), options_.measurements.end(), decoded->measurement) !=
                            options_.measurements.end();
  result.steps.push_back(
      Step("measurement", measured,
           HexEncode(decoded->measurement) + (options_.measurements.empty() ? " (any is accepted)" : " is allowed"),
           "found " + HexEncode(decoded->measurement) + ", which is not among the allowed"));
  result.steps.push_back(Step("report data", decoded->report_data == expected, "binds this manifest and this nonce",
                              "found " + HexEncode(decoded->report_data) + ", expected " + HexEncode(expected) +
                                  ": made for another manifest or another nonce"));
  return result;
}

}  // namespace shoji::attest
