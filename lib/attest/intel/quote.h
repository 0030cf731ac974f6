// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Intel DCAP quotes: ECDSA (P-256) quotes of version 3 (SGX), 4 and 5 (SGX or TDX), as Intel's quoting enclaves make
// them.
//
//   quote       := header body sig_len:u32 signature_data[sig_len] ignored
//   header[48]  := version:u16 key_type:u16=2 tee_type:u32 reserved:u32 qe_vendor_id[16] user_data[20]
//   body        := version 3: enclave_report[384] · version 4: enclave_report[384] or td_report[584], by tee_type
//                  version 5: body_type:u16 body_size:u32 body[body_size]; types: 1 SGX, 2 TD 1.0 (584), 3 TD 1.5 (648)
//   signature_data := signature[64] attestation_key[64] version 3: certification; 4 and 5: cert_type:u16=6 size:u32
//                  certification[size]
//   certification  := qe_report[384] qe_report_signature[64] auth_len:u16 auth[auth_len] cert_type:u16 size:u32
//   cert[size]
//
// Integers are little-endian; r || s and x || y big-endian. The length fields rule: every part fills what is declared
// for it exactly, and what follows sig_len bytes is not looked at.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"

namespace shoji::attest::intel {

enum class TeeType : uint8_t { kSgx, kTdx };

std::string_view NameOf(TeeType tee);

using ReportDataBytes = std::array<uint8_t, 64>;
using Svns = std::array<uint8_t, 16>;  // security version numbers, one a component

// The report of an SGX enclave (384 bytes).
struct EnclaveReport {
  std::array<uint8_t, 16> cpu_svn = {};
  uint32_t misc_select = 0;
  std::array<uint8_t, 16> isv_ext_prod_id = {};
  std::array<uint8_t, 16> attributes = {};  // flags:u64 xfrm:u64
  std::array<uint8_t, 32> mr_enclave = {};
  std::array<uint8_t, 32> mr_signer = {};
  std::array<uint8_t, 64> config_id = {};
  uint16_t isv_prod_id = 0;
  uint16_t isv_svn = 0;
  uint16_t config_svn = 0;
  std::array<uint8_t, 16> isv_family_id = {};
  ReportDataBytes report_data = {};

  bool debug() const { return (attributes[0] & 0x02) != 0; }
};

using Measurement384 = std::array<uint8_t, 48>;

// What TDX 1.5 adds.
struct TdReport15 {
  Svns tee_tcb_svn_2 = {};
  Measurement384 mr_service_td = {};
};

// The report of a trust domain (584 bytes; 648 for TDX 1.5).
struct TdReport {
  Svns tee_tcb_svn = {};
  Measurement384 mr_seam = {};
  Measurement384 mr_signer_seam = {};
  std::array<uint8_t, 8> seam_attributes = {};
  std::array<uint8_t, 8> td_attributes = {};
  std::array<uint8_t, 8> xfam = {};
  Measurement384 mr_td = {};
  Measurement384 mr_config_id = {};
  Measurement384 mr_owner = {};
  Measurement384 mr_owner_config = {};
  std::array<Measurement384, 4> rtmrs = {};
  ReportDataBytes report_data = {};
  std::optional<TdReport15> tdx_1_5;

  // The group TUD, "TD under debug": the domain is untrusted when any of its bits is set.
  bool debug() const { return td_attributes[0] != 0; }
  bool migratable() const { return (td_attributes[3] & 0x20) != 0; }  // bit 29
};

struct Quote {
  uint16_t version = 0;
  std::array<uint8_t, 20> user_data = {};
  std::variant<EnclaveReport, TdReport> body;
  Bytes signed_part;  // header and body, what `signature` is over
  std::array<uint8_t, 64> signature = {};
  std::array<uint8_t, 64> attestation_key = {};
  EnclaveReport qe_report;
  Bytes qe_report_bytes;  // what `qe_report_signature` is over
  std::array<uint8_t, 64> qe_report_signature = {};
  Bytes qe_auth_data;
  Bytes pck_chain;  // PEM, leaf first

  TeeType tee() const { return std::holds_alternative<EnclaveReport>(body) ? TeeType::kSgx : TeeType::kTdx; }
  const ReportDataBytes& report_data() const;
};

// Parses hostile bytes; never reads past what their length fields declare. INVALID_ARGUMENT says which field is wrong.
absl::StatusOr<Quote> ParseQuote(ByteSpan bytes);

}  // namespace shoji::attest::intel
