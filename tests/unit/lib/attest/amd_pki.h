// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A chain of AMD's form with keys of our own: for what no genuine vector shows, such as revocation lists and Turin
// reports.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/attest/sev_snp/authorities.h"
#include "lib/attest/sev_snp/report.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"

struct evp_pkey_st;
struct x509_st;

namespace shoji::testing {

struct VekOptions {
  attest::sev_snp::SigningKey kind = attest::sev_snp::SigningKey::kVcek;
  attest::sev_snp::TcbVersion tcb;
  Bytes hardware_id;  // as the extension holds it
  std::string product_name = "Turin";
};

class AmdPki {
 public:
  // One for the process: RSA keys take time. Certificates are valid from 2025 to 2035.
  static const AmdPki& Turin();
  ~AmdPki();

  // To trust.
  attest::sev_snp::Root root() const;
  Bytes ark() const;  // DER
  Bytes ask() const;
  Bytes Vek(const VekOptions& options) const;
  // Issued by the ARK, or the ASK; lists these serial numbers.
  Bytes RevocationList(bool by_ark, SystemTime from, SystemTime until, const std::vector<int64_t>& serials) const;
  // Signs the first 0x2A0 bytes of `report` with the VEK's key, in place.
  void Sign(Bytes& report) const;

  static constexpr int64_t kAskSerial = 77;
  static constexpr int64_t kVekSerial = 0;

 private:
  AmdPki();

  evp_pkey_st* ark_key_;
  evp_pkey_st* ask_key_;
  evp_pkey_st* vek_key_;
  x509_st* ark_;
  x509_st* ask_;
};

// An unsigned report of version 5, of a Turin processor, with these parts.
Bytes TurinReport(const attest::sev_snp::TcbVersion& tcb, const Bytes& chip_id, const Bytes& report_data);

// The report and a certificate table that holds the certificate (DER) as a VCEK or VLEK.
Bytes WithCertificate(Bytes report, attest::sev_snp::SigningKey kind, const Bytes& der);
// With any entries: the identifier as it is printed, and the content.
Bytes WithTable(Bytes report, const std::vector<std::pair<std::string, Bytes>>& entries);

inline constexpr const char* kVcekGuid = "63da758de6644564adc5f4b93be8accd";
inline constexpr const char* kVlekGuid = "a8074bc2a25a483eaae639c045a0b8a1";
inline constexpr const char* kAskGuid = "4ab7b379bbac4fe4a02f05aef327c782";
inline constexpr const char* kArkGuid = "c0b406a4a803495297433fb6014cd0ae";

}  // namespace shoji::testing
