// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <array>
#include <cstdint>

#include "absl/status/statusor.h"
#include "lib/attest/intel/quote.h"
#include "lib/attest/x509/certificate.h"

namespace shoji::attest::intel {

using Fmspc = std::array<uint8_t, 6>;
using PceId = std::array<uint8_t, 2>;

// What Intel's extension (1.2.840.113741.1.13.1) of a PCK certificate says about the platform.
struct PckPlatform {
  Fmspc fmspc = {};
  PceId pce_id = {};
  Svns tcb_components = {};
  uint16_t pce_svn = 0;
  std::array<uint8_t, 16> cpu_svn = {};
  std::array<uint8_t, 16> ppid = {};
};

// INVALID_ARGUMENT for a certificate that is not named as a PCK certificate, or whose extension is missing or
// malformed.
absl::StatusOr<PckPlatform> ReadPckCertificate(const x509::Certificate& certificate);

}  // namespace shoji::attest::intel
