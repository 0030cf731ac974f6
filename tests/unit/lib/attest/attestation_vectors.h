// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Genuine evidence: what is needed everywhere stands in tests/vectors/attestation, the rest in ../shared.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "lib/attest/intel/collateral.h"
#include "lib/attest/verifier.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"

namespace shoji::testing {

// A file of tests/vectors/attestation.
Bytes AttestationVector(const std::string& name);
std::string AttestationVectorPath(const std::string& name);

// Files of ../shared/vectors/attestation, where that is present.
bool HasSharedVectors();
Bytes SharedVector(const std::string& name);
std::string SharedVectorPath(const std::string& name);

// 2025-07-01T00:00:00Z, at which the SGX and TDX vectors hold.
inline constexpr SystemTime kVectorTime = SystemTime(std::chrono::seconds(1751328000));
SystemTime UnixTime(int64_t seconds);

attest::intel::Collateral SgxCollateral();
attest::intel::Collateral TdxCollateral();
// Of any file in ParseCollateralJson's form. Aborts when it does not parse.
attest::intel::Collateral CollateralOf(const Bytes& json);

// The names of the steps that failed, in order, separated by ", ".
std::string FailedSteps(const attest::AttestationResult& result);
// The detail of step `name`; "no such step".
std::string DetailOf(const attest::AttestationResult& result, const std::string& name);
// The value of claim `name`; "no such claim".
std::string ClaimOf(const attest::AttestationResult& result, const std::string& name);

// Every position of bits to flip, or under sanitizers a sample of them.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr size_t kFlipStride = 211;
#else
inline constexpr size_t kFlipStride = 1;
#endif
inline void FlipBit(Bytes& bytes, size_t bit) { bytes[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8)); }

}  // namespace shoji::testing
