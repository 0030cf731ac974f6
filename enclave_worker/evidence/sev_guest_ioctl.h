// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The interface of Linux's /dev/sev-guest (include/uapi/linux/sev-guest.h), restated so that it does not depend on the
// age of the headers at hand.
#pragma once

#include <cstdint>

namespace shoji::enclave {

struct SnpReportRequest {
  uint8_t user_data[64];
  uint32_t vmpl;
  uint8_t reserved[28];
};
static_assert(sizeof(SnpReportRequest) == 96);

// data := status:u32 report_size:u32 reserved[24] report[report_size]
struct SnpReportResponse {
  uint8_t data[4000];
};

struct SnpExtendedReportRequest {
  SnpReportRequest data;
  uint64_t certs_address;
  uint32_t certs_len;
};
static_assert(sizeof(SnpExtendedReportRequest) == 112);

struct SnpGuestRequest {
  uint8_t message_version;  // 1
  uint64_t request_data;
  uint64_t response_data;
  uint32_t firmware_error;
  uint32_t vmm_error;
};
static_assert(sizeof(SnpGuestRequest) == 32);

inline constexpr unsigned long kSnpGetReport = 0xC0205300;
inline constexpr unsigned long kSnpGetExtendedReport = 0xC0205302;
inline constexpr uint32_t kVmmErrorInvalidLength = 1;
inline constexpr uint32_t kVmmErrorBusy = 2;

}  // namespace shoji::enclave
