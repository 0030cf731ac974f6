// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/sev_snp/collateral.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "lib/attest/x509/pem.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::sev_snp {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFileBytes = size_t{4} << 20;
constexpr size_t kMaxFiles = 1000;

absl::Status AddDer(Collateral& collateral, ByteSpan der) {
  absl::StatusOr<x509::Certificate> certificate = x509::Certificate::FromDer(der);
  if (certificate.ok()) {
    collateral.certificates.push_back(*std::move(certificate));
    return absl::OkStatus();
  }
  absl::StatusOr<x509::RevocationList> list = x509::RevocationList::FromDer(der);
  if (!list.ok()) {
    return absl::InvalidArgumentError("neither a certificate nor a usable revocation list: " +
                                      std::string(list.status().message()));
  }
  collateral.revocation_lists.push_back(*std::move(list));
  return absl::OkStatus();
}

absl::Status AddFile(Collateral& collateral, const fs::path& path) {
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(path.string(), kMaxFileBytes));
  const absl::Status status = AddTo(collateral, bytes);
  return status.ok() ? status : absl::Status(status.code(), path.string() + ": " + std::string(status.message()));
}

}  // namespace

absl::Status AddTo(Collateral& collateral, ByteSpan bytes) {
  if (!x509::LooksLikePem(bytes)) {
    return AddDer(collateral, bytes);
  }
  static constexpr std::string_view kCrl = "-----BEGIN X509 CRL-----";
  const bool is_crl = std::search(bytes.begin(), bytes.end(), kCrl.begin(), kCrl.end()) != bytes.end();
  ASSIGN_OR_RETURN(const std::vector<Bytes> blocks, x509::DecodePem(bytes, is_crl ? "X509 CRL" : "CERTIFICATE"));
  for (const Bytes& der : blocks) {
    RETURN_IF_ERROR(AddDer(collateral, der));
  }
  return absl::OkStatus();
}

absl::StatusOr<Collateral> LoadCollateral(const std::string& path) {
  Collateral out;
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    RETURN_IF_ERROR(AddFile(out, path));
    return out;
  }
  std::vector<fs::path> files;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file(error)) {
      files.push_back(it->path());
    }
    if (files.size() > kMaxFiles) {
      return absl::ResourceExhaustedError(path + " holds more than " + std::to_string(kMaxFiles) + " files");
    }
  }
  if (error || files.empty()) {
    return absl::NotFoundError(path + (error ? ": " + error.message() : " holds no certificate or revocation list"));
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    RETURN_IF_ERROR(AddFile(out, file));
  }
  return out;
}

}  // namespace shoji::attest::sev_snp
