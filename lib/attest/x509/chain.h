// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <span>

#include "absl/status/status.h"
#include "lib/attest/x509/certificate.h"

namespace shoji::attest::x509 {

// Whether each certificate of `chain` (leaf first) is signed by the next, which may sign it, and the last is
// self-signed and carries a key of `pinned` (SubjectPublicKeyInfo, DER). RFC 5280, section 6.1, without times: those
// are asked of CheckValidity, so that a chain need be verified only once. INVALID_ARGUMENT says which link fails.
absl::Status VerifyChain(std::span<const Certificate> chain, std::span<const Bytes> pinned);

// Whether `now` lies in the validity of each. INVALID_ARGUMENT names the first for which it does not, and its times.
absl::Status CheckValidity(std::span<const Certificate> chain, SystemTime now);

}  // namespace shoji::attest::x509
