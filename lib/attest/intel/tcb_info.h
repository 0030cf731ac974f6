// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/attest/intel/pck_certificate.h"
#include "lib/attest/intel/quote.h"
#include "lib/attest/intel/tcb_status.h"
#include "lib/attest/x509/certificate.h"
#include "lib/base/clock.h"

namespace shoji::attest::intel {

// A level of the platform's TCB: it applies where every component is at least this.
struct TcbLevel {
  Svns sgx_components = {};
  uint16_t pce_svn = 0;
  std::optional<Svns> tdx_components;  // TDX only
  TcbVerdict verdict;
};

// A level of an enclave or a module.
struct IsvLevel {
  uint16_t isv_svn = 0;
  TcbVerdict verdict;
};

// A TDX module that Intel made: of one major version ("TDX_03"), or any where `id` is empty.
struct TdxModule {
  std::string id;
  Measurement384 mr_signer = {};
  std::array<uint8_t, 8> attributes = {};
  std::array<uint8_t, 8> attributes_mask = {};
  std::vector<IsvLevel> levels;  // none where `id` is empty: the components say it
};

// Intel's TCB info, version 2 (SGX) or 3 (SGX or TDX).
struct TcbInfo {
  TeeType tee = TeeType::kSgx;
  x509::Validity validity;  // issueDate, nextUpdate
  Fmspc fmspc = {};
  PceId pce_id = {};
  uint32_t evaluation_data_number = 0;
  std::optional<TdxModule> tdx_module;
  std::vector<TdxModule> tdx_module_identities;
  std::vector<TcbLevel> levels;  // the best first
};

// Parses the signed text. INVALID_ARGUMENT, also for a status that is not known.
absl::StatusOr<TcbInfo> ParseTcbInfo(ByteSpan text);

// The first level that `platform` reaches, and for TDX `tee_tcb_svn`; nullptr when it reaches none. Where
// TEE_TCB_SVN[1] is not zero, its first two components are those of the TDX module, which FindTdxModule judges.
const TcbLevel* FindLevel(const TcbInfo& info, const PckPlatform& platform, const Svns* tee_tcb_svn);

// The judgement of the TDX module of `report`: its signer and attributes are as `info` says. INVALID_ARGUMENT says what
// differs; nullopt where the level of the platform covers the module (TEE_TCB_SVN[1] is zero).
absl::StatusOr<std::optional<TcbVerdict>> JudgeTdxModule(const TcbInfo& info, const TdReport& report);

}  // namespace shoji::attest::intel
