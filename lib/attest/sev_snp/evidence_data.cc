// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/sev_snp/evidence_data.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

#include "lib/attest/field_reader.h"
#include "lib/attest/sev_snp/report.h"
#include "lib/attest/x509/pem.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::sev_snp {
namespace {

using Guid = std::array<uint8_t, 16>;

constexpr size_t kMaxEntries = 64;
// In the order in which they are printed.
constexpr Guid kVcek = {0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd};
constexpr Guid kVlek = {0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1};
constexpr Guid kAsk = {0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82};
constexpr Guid kArk = {0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae};

absl::Status Malformed(const std::string& what) {
  return absl::InvalidArgumentError("malformed certificate table: " + what);
}

// DER; some hosts store PEM.
absl::StatusOr<x509::Certificate> ReadCertificate(ByteSpan bytes) {
  if (!x509::LooksLikePem(bytes)) {
    return x509::Certificate::FromDer(bytes);
  }
  ASSIGN_OR_RETURN(std::vector<x509::Certificate> certificates, x509::CertificatesFromPem(bytes));
  if (certificates.size() != 1) {
    return Malformed("an entry of more than one certificate");
  }
  return std::move(certificates.front());
}

}  // namespace

absl::StatusOr<EvidenceData> ParseEvidenceData(ByteSpan bytes) {
  if (bytes.size() < kReportBytes || bytes.size() > kReportBytes + kMaxCertificateTableBytes) {
    return absl::InvalidArgumentError("SEV-SNP evidence of " + std::to_string(bytes.size()) +
                                      " bytes; expected a report of " + std::to_string(kReportBytes) +
                                      " bytes and a certificate table of at most " +
                                      std::to_string(kMaxCertificateTableBytes));
  }
  EvidenceData out;
  out.report = bytes.first(kReportBytes);
  const ByteSpan table = bytes.subspan(kReportBytes);
  FieldReader reader(table);
  std::set<Guid> seen;
  for (size_t i = 0; !table.empty(); ++i) {
    Guid guid = {};
    reader.Take(guid);
    const uint32_t offset = reader.Integer<uint32_t>();
    const uint32_t length = reader.Integer<uint32_t>();
    if (!reader.ok() || i == kMaxEntries) {
      return Malformed("no end of its entries");
    }
    if (guid == Guid{} && offset == 0 && length == 0) {
      break;
    }
    if (offset > table.size() || length > table.size() - offset) {
      return Malformed("an entry lies outside of it");
    }
    const bool is_key = guid == kVcek || guid == kVlek;
    if ((!is_key && guid != kAsk && guid != kArk) || length == 0) {
      continue;
    }
    if (!seen.insert(guid).second) {
      return Malformed("an entry is repeated");
    }
    ASSIGN_OR_RETURN(x509::Certificate certificate, ReadCertificate(table.subspan(offset, length)));
    (is_key ? out.endorsement_keys : out.authorities).push_back(std::move(certificate));
  }
  return out;
}

}  // namespace shoji::attest::sev_snp
