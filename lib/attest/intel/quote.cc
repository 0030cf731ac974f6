// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/intel/quote.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lib/attest/field_reader.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::intel {
namespace {

constexpr uint16_t kEcdsaP256 = 2;
constexpr uint32_t kTeeSgx = 0;
constexpr uint32_t kTeeTdx = 0x81;
constexpr std::array<uint8_t, 16> kIntelQeVendorId = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                                      0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
constexpr size_t kHeaderBytes = 48;
constexpr size_t kEnclaveReportBytes = 384;
constexpr size_t kTdReport10Bytes = 584;
constexpr size_t kTdReport15Bytes = 648;
constexpr uint16_t kCertTypePckChain = 5;
constexpr uint16_t kCertTypeQeReport = 6;

absl::Status Malformed(const std::string& what) { return absl::InvalidArgumentError("malformed quote: " + what); }

absl::Status Unexpected(const std::string& field, uint64_t found, const std::string& expected) {
  return Malformed(field + " is " + std::to_string(found) + ", expected " + expected);
}

EnclaveReport ReadEnclaveReport(ByteSpan bytes) {
  FieldReader reader(bytes);
  EnclaveReport out;
  reader.Take(out.cpu_svn);
  out.misc_select = reader.Integer<uint32_t>();
  reader.Span(12);
  reader.Take(out.isv_ext_prod_id);
  reader.Take(out.attributes);
  reader.Take(out.mr_enclave);
  reader.Span(32);
  reader.Take(out.mr_signer);
  reader.Span(32);
  reader.Take(out.config_id);
  out.isv_prod_id = reader.Integer<uint16_t>();
  out.isv_svn = reader.Integer<uint16_t>();
  out.config_svn = reader.Integer<uint16_t>();
  reader.Span(42);
  reader.Take(out.isv_family_id);
  reader.Take(out.report_data);
  return out;
}

TdReport ReadTdReport(ByteSpan bytes) {
  FieldReader reader(bytes);
  TdReport out;
  reader.Take(out.tee_tcb_svn);
  reader.Take(out.mr_seam);
  reader.Take(out.mr_signer_seam);
  reader.Take(out.seam_attributes);
  reader.Take(out.td_attributes);
  reader.Take(out.xfam);
  reader.Take(out.mr_td);
  reader.Take(out.mr_config_id);
  reader.Take(out.mr_owner);
  reader.Take(out.mr_owner_config);
  for (Measurement384& rtmr : out.rtmrs) {
    reader.Take(rtmr);
  }
  reader.Take(out.report_data);
  if (bytes.size() == kTdReport15Bytes) {
    TdReport15& more = out.tdx_1_5.emplace();
    reader.Take(more.tee_tcb_svn_2);
    reader.Take(more.mr_service_td);
  }
  return out;
}

// Header and, for version 5, the fields that say what the body is; gives the size of the body.
absl::StatusOr<size_t> ReadHeader(FieldReader& reader, Quote& out) {
  out.version = reader.Integer<uint16_t>();
  const uint16_t key_type = reader.Integer<uint16_t>();
  const uint32_t tee_type = reader.Integer<uint32_t>();
  reader.Span(4);
  std::array<uint8_t, 16> vendor = {};
  reader.Take(vendor);
  reader.Take(out.user_data);
  if (!reader.ok()) {
    return Malformed("shorter than its header of " + std::to_string(kHeaderBytes) + " bytes");
  }
  if (out.version < 3 || out.version > 5) {
    return Unexpected("version", out.version, "3, 4 or 5");
  }
  if (key_type != kEcdsaP256) {
    return Unexpected("attestation key type", key_type, "2 (ECDSA with P-256)");
  }
  if (tee_type != kTeeSgx && (tee_type != kTeeTdx || out.version == 3)) {
    return Unexpected("TEE type", tee_type, out.version == 3 ? "0 (SGX)" : "0 (SGX) or 129 (TDX)");
  }
  if (vendor != kIntelQeVendorId) {
    return Malformed("QE vendor id " + HexEncode(vendor) + " is not Intel's, " + HexEncode(kIntelQeVendorId));
  }
  if (out.version != 5) {
    return tee_type == kTeeSgx ? kEnclaveReportBytes : kTdReport10Bytes;
  }
  const uint16_t body_type = reader.Integer<uint16_t>();
  const uint32_t body_size = reader.Integer<uint32_t>();
  static constexpr size_t kSizes[] = {kEnclaveReportBytes, kTdReport10Bytes, kTdReport15Bytes};
  if (body_type < 1 || body_type > 3 || (body_type == 1) != (tee_type == kTeeSgx)) {
    return Unexpected("body type", body_type, tee_type == kTeeSgx ? "1 (SGX)" : "2 or 3 (TDX 1.0, 1.5)");
  }
  if (body_size != kSizes[body_type - 1]) {
    return Unexpected("body size", body_size, std::to_string(kSizes[body_type - 1]));
  }
  return body_size;
}

// `bytes` is all of it.
absl::Status ReadCertification(ByteSpan bytes, Quote& out) {
  FieldReader reader(bytes);
  const ByteSpan qe_report = reader.Span(kEnclaveReportBytes);
  reader.Take(out.qe_report_signature);
  const ByteSpan auth = reader.Span(reader.Integer<uint16_t>());
  const uint16_t cert_type = reader.Integer<uint16_t>();
  const uint32_t cert_size = reader.Integer<uint32_t>();
  const ByteSpan cert = reader.Span(cert_size);
  if (!reader.ok()) {
    return Malformed("its certification data is longer than declared");
  }
  if (reader.size() != 0) {
    return Malformed(std::to_string(reader.size()) + " declared bytes after its certification data");
  }
  if (cert_type != kCertTypePckChain) {
    return Unexpected("certification data type", cert_type,
                      "5 (a PCK certificate chain); the platform's quote provider has no PCK certificate cached");
  }
  out.qe_report_bytes.assign(qe_report.begin(), qe_report.end());
  out.qe_report = ReadEnclaveReport(qe_report);
  out.qe_auth_data.assign(auth.begin(), auth.end());
  out.pck_chain.assign(cert.begin(), cert.end());
  return absl::OkStatus();
}

absl::Status ReadSignatureData(ByteSpan bytes, Quote& out) {
  FieldReader reader(bytes);
  reader.Take(out.signature);
  reader.Take(out.attestation_key);
  if (out.version >= 4) {
    const uint16_t cert_type = reader.Integer<uint16_t>();
    const uint32_t size = reader.Integer<uint32_t>();
    if (!reader.ok() || size != reader.size()) {
      return Unexpected("the size of the QE certification data", size, std::to_string(reader.size()));
    }
    if (cert_type != kCertTypeQeReport) {
      return Unexpected("certification data type", cert_type, "6 (a QE report)");
    }
  }
  if (!reader.ok()) {
    return Malformed("its signature data is longer than declared");
  }
  return ReadCertification(reader.Span(reader.size()), out);
}

}  // namespace

std::string_view NameOf(TeeType tee) { return tee == TeeType::kSgx ? "SGX" : "TDX"; }

const ReportDataBytes& Quote::report_data() const {
  return std::visit([](const auto& report) -> const ReportDataBytes& { return report.report_data; }, body);
}

absl::StatusOr<Quote> ParseQuote(ByteSpan bytes) {
  FieldReader reader(bytes);
  Quote out;
  ASSIGN_OR_RETURN(const size_t body_size, ReadHeader(reader, out));
  const ByteSpan body = reader.Span(body_size);
  const ByteSpan signed_part = bytes.first(bytes.size() - reader.size());
  const uint32_t signature_size = reader.Integer<uint32_t>();
  const ByteSpan signature_data = reader.Span(signature_size);
  if (!reader.ok()) {
    return Malformed("its parts are longer than its " + std::to_string(bytes.size()) + " bytes");
  }
  RETURN_IF_ERROR(ReadSignatureData(signature_data, out));
  out.signed_part.assign(signed_part.begin(), signed_part.end());
  if (body_size == kEnclaveReportBytes) {
    out.body = ReadEnclaveReport(body);
  } else {
    out.body = ReadTdReport(body);
  }
  return out;
}

}  // namespace shoji::attest::intel
