// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/evidence/simulated_quoter.h"

#include <sys/stat.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "lib/attest/simulated/simulated_evidence.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"

namespace shoji::enclave {
namespace {

constexpr size_t kMaxKeyFileBytes = 16384;
constexpr size_t kMaxBinaryBytes = size_t{1} << 30;

absl::Status CheckPrivate(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return absl::PermissionDeniedError(path + " can be read by others than its owner; run `chmod 600 " + path + "`");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<EvidenceProvider>> SimulatedQuoter::Create(const std::string& key_file) {
  RETURN_IF_ERROR(CheckPrivate(key_file));
  ASSIGN_OR_RETURN(Bytes pem, ReadFile(key_file, kMaxKeyFileBytes));
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                      BIO_free);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr);
  OPENSSL_cleanse(pem.data(), pem.size());
  if (key == nullptr || EVP_PKEY_id(key) != EVP_PKEY_ED25519) {
    EVP_PKEY_free(key);
    return absl::InvalidArgumentError(key_file + " holds no Ed25519 private key in PEM; `openssl genpkey -algorithm " +
                                      "ed25519 -out " + key_file + "` makes one");
  }
  absl::StatusOr<Bytes> binary = ReadFile("/proc/self/exe", kMaxBinaryBytes);
  if (!binary.ok()) {
    EVP_PKEY_free(key);
    return binary.status();
  }
  return std::unique_ptr<EvidenceProvider>(new SimulatedQuoter(key, digest::Sha256(*binary)));
}

SimulatedQuoter::SimulatedQuoter(EVP_PKEY* key, const digest::Sha256Digest& measurement)
    : key_(key), measurement_(measurement) {}

SimulatedQuoter::~SimulatedQuoter() { EVP_PKEY_free(key_); }

absl::StatusOr<attest::Evidence> SimulatedQuoter::Generate(const attest::ReportData& report_data) {
  attest::SimulatedEvidence evidence;
  evidence.measurement = measurement_;
  evidence.report_data = report_data;
  size_t size = evidence.signer.size();
  if (EVP_PKEY_get_raw_public_key(key_, evidence.signer.data(), &size) != 1) {
    return absl::UnavailableError("the simulated quoting key is not usable");
  }
  const Bytes message = attest::SimulatedEvidenceSignedMessage(evidence);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  size = evidence.signature.size();
  if (context == nullptr || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_) != 1 ||
      EVP_DigestSign(context.get(), evidence.signature.data(), &size, message.data(), message.size()) != 1) {
    return absl::UnavailableError("the simulated quoting key cannot sign");
  }
  return attest::Evidence{attest::EvidenceKind::kSimulated, attest::EncodeSimulatedEvidence(evidence)};
}

}  // namespace shoji::enclave
