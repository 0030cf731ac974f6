// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/intel/tcb_info.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "lib/attest/intel/json_fields.h"
#include "lib/attest/intel/level_fields.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::intel {
namespace {

constexpr size_t kMaxLevels = 1000;

// Version 3: [{"svn": 5, ...}, ...]
absl::StatusOr<Svns> ReadComponents(const Json& tcb, const char* key) {
  ASSIGN_OR_RETURN(const Json* array, ArrayMember(tcb, key));
  Svns out = {};
  if (array->size() != out.size()) {
    return absl::InvalidArgumentError("member '" + std::string(key) + "' must have 16 components");
  }
  for (size_t i = 0; i < out.size(); ++i) {
    ASSIGN_OR_RETURN(const uint32_t svn, UnsignedMember((*array)[i], "svn", UINT8_MAX));
    out[i] = static_cast<uint8_t>(svn);
  }
  return out;
}

// Version 2: "sgxtcbcomp01svn": 5, ...
absl::StatusOr<Svns> ReadNamedComponents(const Json& tcb) {
  Svns out = {};
  for (size_t i = 0; i < out.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    const std::string key = "sgxtcbcomp" + std::string(number.size() < 2 ? "0" : "") + number + "svn";
    ASSIGN_OR_RETURN(const uint32_t svn, UnsignedMember(tcb, key.c_str(), UINT8_MAX));
    out[i] = static_cast<uint8_t>(svn);
  }
  return out;
}

absl::StatusOr<TcbLevel> ReadLevel(const Json& json, uint32_t version, TeeType tee) {
  TcbLevel out;
  ASSIGN_OR_RETURN(const Json* tcb, ObjectMember(json, "tcb"));
  ASSIGN_OR_RETURN(out.sgx_components,
                   version == 2 ? ReadNamedComponents(*tcb) : ReadComponents(*tcb, "sgxtcbcomponents"));
  ASSIGN_OR_RETURN(const uint32_t pce_svn, UnsignedMember(*tcb, "pcesvn", UINT16_MAX));
  out.pce_svn = static_cast<uint16_t>(pce_svn);
  if (tee == TeeType::kTdx) {
    ASSIGN_OR_RETURN(out.tdx_components, ReadComponents(*tcb, "tdxtcbcomponents"));
  }
  ASSIGN_OR_RETURN(out.verdict, ReadVerdict(json));
  return out;
}

absl::StatusOr<TdxModule> ReadModule(const Json& json) {
  TdxModule out;
  RETURN_IF_ERROR(ReadOctets(json, "mrsigner", out.mr_signer));
  RETURN_IF_ERROR(ReadOctets(json, "attributes", out.attributes));
  RETURN_IF_ERROR(ReadOctets(json, "attributesMask", out.attributes_mask));
  return out;
}

absl::Status ReadTdx(const Json& json, TcbInfo& out) {
  ASSIGN_OR_RETURN(const Json* module, ObjectMember(json, "tdxModule"));
  ASSIGN_OR_RETURN(out.tdx_module, ReadModule(*module));
  if (!json.contains("tdxModuleIdentities")) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const Json* identities, ArrayMember(json, "tdxModuleIdentities"));
  for (const Json& identity : *identities) {
    ASSIGN_OR_RETURN(TdxModule read, ReadModule(identity));
    ASSIGN_OR_RETURN(read.id, StringMember(identity, "id"));
    ASSIGN_OR_RETURN(read.levels, ReadIsvLevels(identity));
    out.tdx_module_identities.push_back(std::move(read));
  }
  return absl::OkStatus();
}

bool AllAtLeast(const Svns& have, const Svns& need, size_t from) {
  for (size_t i = from; i < have.size(); ++i) {
    if (have[i] < need[i]) {
      return false;
    }
  }
  return true;
}

// Where the module has a version of its own, the level says nothing about components 0 and 1.
size_t FirstPlatformComponent(const Svns& tee_tcb_svn) { return tee_tcb_svn[1] > 0 ? 2 : 0; }

absl::Status CheckModule(const TdxModule& module, const TdReport& report) {
  if (report.mr_signer_seam != module.mr_signer) {
    return absl::InvalidArgumentError("found MRSIGNERSEAM " + HexEncode(report.mr_signer_seam) + "; expected " +
                                      HexEncode(module.mr_signer));
  }
  if (!EqualUnderMask(report.seam_attributes, module.attributes, module.attributes_mask)) {
    return absl::InvalidArgumentError("found SEAMATTRIBUTES " + HexEncode(report.seam_attributes) + "; expected " +
                                      HexEncode(module.attributes) + " under mask " +
                                      HexEncode(module.attributes_mask));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TcbInfo> ParseTcbInfo(ByteSpan text) {
  ASSIGN_OR_RETURN(const Json json, ParseJsonObject(text));
  ASSIGN_OR_RETURN(const uint32_t version, UnsignedMember(json, "version", UINT32_MAX));
  if (version != 2 && version != 3) {
    return absl::InvalidArgumentError("TCB info of version " + std::to_string(version) + "; 2 and 3 are understood");
  }
  TcbInfo out;
  if (version == 3) {
    ASSIGN_OR_RETURN(const std::string id, StringMember(json, "id"));
    if (id != "SGX" && id != "TDX") {
      return absl::InvalidArgumentError("TCB info with id '" + id + "'; SGX and TDX are understood");
    }
    out.tee = id == "SGX" ? TeeType::kSgx : TeeType::kTdx;
  }
  ASSIGN_OR_RETURN(const uint32_t type, UnsignedMember(json, "tcbType", UINT32_MAX));
  if (type != 0) {
    return absl::InvalidArgumentError("TCB info of tcbType " + std::to_string(type) + "; 0 is understood");
  }
  ASSIGN_OR_RETURN(out.validity, ReadDates(json));
  RETURN_IF_ERROR(ReadOctets(json, "fmspc", out.fmspc));
  RETURN_IF_ERROR(ReadOctets(json, "pceId", out.pce_id));
  ASSIGN_OR_RETURN(out.evaluation_data_number, UnsignedMember(json, "tcbEvaluationDataNumber", UINT32_MAX));
  if (out.tee == TeeType::kTdx) {
    RETURN_IF_ERROR(ReadTdx(json, out));
  }
  ASSIGN_OR_RETURN(const Json* levels, ArrayMember(json, "tcbLevels"));
  if (levels->empty() || levels->size() > kMaxLevels) {
    return absl::InvalidArgumentError("TCB info needs from 1 to " + std::to_string(kMaxLevels) + " levels");
  }
  for (const Json& level : *levels) {
    ASSIGN_OR_RETURN(TcbLevel read, ReadLevel(level, version, out.tee));
    out.levels.push_back(std::move(read));
  }
  return out;
}

const TcbLevel* FindLevel(const TcbInfo& info, const PckPlatform& platform, const Svns* tee_tcb_svn) {
  for (const TcbLevel& level : info.levels) {
    if (!AllAtLeast(platform.tcb_components, level.sgx_components, 0) || platform.pce_svn < level.pce_svn) {
      continue;
    }
    if (tee_tcb_svn == nullptr) {
      return &level;
    }
    if (level.tdx_components.has_value() &&
        AllAtLeast(*tee_tcb_svn, *level.tdx_components, FirstPlatformComponent(*tee_tcb_svn))) {
      return &level;
    }
  }
  return nullptr;
}

absl::StatusOr<std::optional<TcbVerdict>> JudgeTdxModule(const TcbInfo& info, const TdReport& report) {
  if (!info.tdx_module.has_value()) {
    return absl::InvalidArgumentError("the TCB info describes no TDX module");
  }
  const uint8_t version = report.tee_tcb_svn[1];
  if (version == 0) {
    RETURN_IF_ERROR(CheckModule(*info.tdx_module, report));
    return std::nullopt;
  }
  char id[16] = "";
  std::snprintf(id, sizeof(id), "TDX_%02x", static_cast<unsigned>(version));
  const auto found = std::find_if(info.tdx_module_identities.begin(), info.tdx_module_identities.end(),
                                  [&id](const TdxModule& module) { return EqualIgnoringCase(module.id, id); });
  if (found == info.tdx_module_identities.end()) {
    return absl::InvalidArgumentError("found a TDX module of version " + std::to_string(version) +
                                      "; the TCB info describes no module '" + id + "'");
  }
  RETURN_IF_ERROR(CheckModule(*found, report));
  const IsvLevel* level = FindIsvLevel(found->levels, report.tee_tcb_svn[0]);
  if (level == nullptr) {
    return absl::InvalidArgumentError("found TDX module " + found->id + " with security version " +
                                      std::to_string(report.tee_tcb_svn[0]) +
                                      ", which reaches no level that Intel lists");
  }
  return level->verdict;
}

}  // namespace shoji::attest::intel
