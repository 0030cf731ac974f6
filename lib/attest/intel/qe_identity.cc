// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/intel/qe_identity.h"

#include <string>

#include "lib/attest/intel/json_fields.h"
#include "lib/attest/intel/level_fields.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::intel {
namespace {

// MISCSELECT stands as a number in hexadecimal.
absl::StatusOr<uint32_t> ReadNumber(const Json& json, const char* key) {
  ASSIGN_OR_RETURN(const Bytes bytes, HexMember(json, key, 4));
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | uint32_t{bytes[3]};
}

absl::Status Differs(const std::string& what, const std::string& found, const std::string& expected) {
  return absl::InvalidArgumentError("found a quoting enclave with " + what + " " + found + "; expected " + expected);
}

}  // namespace

absl::StatusOr<QeIdentity> ParseQeIdentity(ByteSpan text) {
  ASSIGN_OR_RETURN(const Json json, ParseJsonObject(text));
  QeIdentity out;
  ASSIGN_OR_RETURN(const std::string id, StringMember(json, "id"));
  ASSIGN_OR_RETURN(const uint32_t version, UnsignedMember(json, "version", UINT32_MAX));
  if ((id != "QE" && id != "TD_QE") || version != 2) {
    return absl::InvalidArgumentError("an enclave identity '" + id + "' of version " + std::to_string(version) +
                                      "; 'QE' and 'TD_QE' of version 2 are understood");
  }
  out.tee = id == "QE" ? TeeType::kSgx : TeeType::kTdx;
  ASSIGN_OR_RETURN(out.validity, ReadDates(json));
  ASSIGN_OR_RETURN(out.evaluation_data_number, UnsignedMember(json, "tcbEvaluationDataNumber", UINT32_MAX));
  ASSIGN_OR_RETURN(out.misc_select, ReadNumber(json, "miscselect"));
  ASSIGN_OR_RETURN(out.misc_select_mask, ReadNumber(json, "miscselectMask"));
  RETURN_IF_ERROR(ReadOctets(json, "attributes", out.attributes));
  RETURN_IF_ERROR(ReadOctets(json, "attributesMask", out.attributes_mask));
  RETURN_IF_ERROR(ReadOctets(json, "mrsigner", out.mr_signer));
  ASSIGN_OR_RETURN(const uint32_t product, UnsignedMember(json, "isvprodid", UINT16_MAX));
  out.isv_prod_id = static_cast<uint16_t>(product);
  ASSIGN_OR_RETURN(out.levels, ReadIsvLevels(json));
  return out;
}

absl::Status CheckQeReport(const QeIdentity& identity, const EnclaveReport& report) {
  if (report.mr_signer != identity.mr_signer) {
    return Differs("MRSIGNER", HexEncode(report.mr_signer), HexEncode(identity.mr_signer));
  }
  if (report.isv_prod_id != identity.isv_prod_id) {
    return Differs("ISVPRODID", std::to_string(report.isv_prod_id), std::to_string(identity.isv_prod_id));
  }
  if (((report.misc_select ^ identity.misc_select) & identity.misc_select_mask) != 0) {
    return Differs("MISCSELECT", std::to_string(report.misc_select), std::to_string(identity.misc_select));
  }
  if (!EqualUnderMask(report.attributes, identity.attributes, identity.attributes_mask)) {
    return Differs("ATTRIBUTES", HexEncode(report.attributes),
                   HexEncode(identity.attributes) + " under mask " + HexEncode(identity.attributes_mask));
  }
  return absl::OkStatus();
}

const TcbVerdict* JudgeQe(const QeIdentity& identity, const EnclaveReport& report) {
  const IsvLevel* level = FindIsvLevel(identity.levels, report.isv_svn);
  return level == nullptr ? nullptr : &level->verdict;
}

}  // namespace shoji::attest::intel
