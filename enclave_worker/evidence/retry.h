// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "lib/attest/evidence.h"
#include "lib/attest/manifest.h"

namespace shoji::enclave {

// How often, and with what pauses, a provider tries again when the platform is busy or somebody raced it.
struct Retry {
  int attempts = 8;
  std::chrono::milliseconds first_pause = std::chrono::milliseconds(20);  // doubled each time
  std::function<void(std::chrono::milliseconds)> pause;                   // empty: sleep
};

// One attempt: evidence, ABORTED to try again, or another error to give up.
using Attempt = std::function<absl::StatusOr<attest::Evidence>()>;

// UNAVAILABLE with the last reason when every attempt was ABORTED.
absl::StatusOr<attest::Evidence> WithRetries(const Retry& retry, const Attempt& attempt);

// What became of an operation on a device file: ABORTED where trying again may help (busy, interrupted, timed out),
// else UNAVAILABLE, with `hint`, what the operator can do about it.
absl::Status DeviceError(int error, const std::string& operation, const std::string& hint);

// Whether `evidence` binds `expected`, so that evidence which somebody else requested is never passed on. ABORTED.
absl::Status CheckBinds(const attest::Evidence& evidence, const attest::ReportData& expected);

}  // namespace shoji::enclave
