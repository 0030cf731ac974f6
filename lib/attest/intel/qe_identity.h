// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/attest/intel/quote.h"
#include "lib/attest/intel/tcb_info.h"
#include "lib/attest/x509/certificate.h"

namespace shoji::attest::intel {

// Intel's description of its quoting enclave for one TEE, version 2.
struct QeIdentity {
  TeeType tee = TeeType::kSgx;
  x509::Validity validity;  // issueDate, nextUpdate
  uint32_t evaluation_data_number = 0;
  uint32_t misc_select = 0;
  uint32_t misc_select_mask = 0;
  std::array<uint8_t, 16> attributes = {};
  std::array<uint8_t, 16> attributes_mask = {};
  std::array<uint8_t, 32> mr_signer = {};
  uint16_t isv_prod_id = 0;
  std::vector<IsvLevel> levels;  // the best first
};

// Parses the signed text. INVALID_ARGUMENT.
absl::StatusOr<QeIdentity> ParseQeIdentity(ByteSpan text);

// Whether `report` is of the enclave described. INVALID_ARGUMENT says what differs.
absl::Status CheckQeReport(const QeIdentity& identity, const EnclaveReport& report);

// The judgement of its security version, or nullptr when it reaches no level.
const TcbVerdict* JudgeQe(const QeIdentity& identity, const EnclaveReport& report);

}  // namespace shoji::attest::intel
