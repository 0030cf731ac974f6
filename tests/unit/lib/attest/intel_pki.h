// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Chains, collateral and quotes of Intel's form with keys of our own: for what no genuine vector shows, such as revoked
// certificates, an out-of-date TDX module or collateral signed by the wrong certificate.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lib/attest/intel/collateral.h"
#include "lib/attest/intel/quote.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"

struct evp_pkey_st;
struct x509_st;

namespace shoji::testing {

// What of the chains and the collateral can be chosen.
struct IntelOptions {
  attest::intel::TeeType tee = attest::intel::TeeType::kSgx;
  std::string pck_name = "Intel SGX PCK Certificate";
  std::string signer_name = "Intel SGX TCB Signing";
  bool collateral_of_another_root = false;
  std::vector<int64_t> revoked_by_root;
  std::vector<int64_t> revoked_by_pck_ca;
  std::string tcb_status = "UpToDate";
  std::string qe_status = "UpToDate";
  std::string module_status = "UpToDate";
  uint8_t level_svn = 5;        // of every SGX component of the only level; the platform has 5
  uint16_t level_pce_svn = 11;  // the platform has 11
  uint16_t level_qe_svn = 4;    // the QE has 4
  uint32_t tcb_info_version = 3;
  uint32_t evaluation_data_number = 17;
};

// Keys are made once for the process; certificates are valid from 2025 to 2035, collateral around kVectorTime.
class IntelPki {
 public:
  static const IntelPki& Get();
  ~IntelPki();

  static constexpr int64_t kPckCaSerial = 10;
  static constexpr int64_t kPckSerial = 11;
  static constexpr int64_t kSignerSerial = 12;

  Bytes root_key() const;  // SubjectPublicKeyInfo
  attest::intel::Collateral Collateral(const IntelOptions& options) const;
  // A quote of `version` with `body` (an enclave or TD report), after `change` of the QE report. Signed.
  Bytes Quote(const IntelOptions& options, uint16_t version, const Bytes& body,
              const std::function<void(Bytes& qe_report)>& change = {}) const;
  // `quote` signed again with another attestation key, which the QE report does not name.
  Bytes WithAnotherAttestationKey(Bytes quote, size_t signed_size) const;

 private:
  IntelPki();

  Bytes Certificate(const std::string& name, const std::string& issuer, int64_t serial, evp_pkey_st* key,
                    evp_pkey_st* issuer_key, int kind) const;
  Bytes Crl(const std::string& issuer, evp_pkey_st* key, const std::vector<int64_t>& serials) const;

  evp_pkey_st* root_;
  evp_pkey_st* other_root_;
  evp_pkey_st* pck_ca_;
  evp_pkey_st* pck_;
  evp_pkey_st* signer_;
  evp_pkey_st* attestation_;
};

// A report of the form of an enclave's: no debug, all else `fill`.
Bytes EnclaveReportBytes(uint8_t fill);
// A report of a trust domain: TEE_TCB_SVN 05 01 05 05 ..., no debug, measurements `fill`; 584 or 648 bytes.
Bytes TdReportBytes(uint8_t fill, size_t size);

}  // namespace shoji::testing
