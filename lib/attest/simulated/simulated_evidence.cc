// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/simulated/simulated_evidence.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "lib/base/check.h"

namespace shoji::attest {
namespace {

constexpr std::string_view kMagic = "SHOJISIM";
constexpr uint8_t kVersion = 1;
constexpr uint8_t kDebugFlag = 1;

template <size_t N>
void Take(ByteSpan& bytes, std::array<uint8_t, N>& out) {
  std::copy_n(bytes.begin(), N, out.begin());
  bytes = bytes.subspan(N);
}

}  // namespace

Bytes SimulatedEvidenceBody(const SimulatedEvidence& evidence) {
  Bytes out;
  Append(out, kMagic);
  out.push_back(kVersion);
  out.push_back(evidence.debug ? kDebugFlag : 0);
  out.push_back(0);
  out.push_back(0);
  Append(out, evidence.measurement);
  Append(out, evidence.report_data);
  Append(out, evidence.signer);
  return out;
}

Bytes SimulatedEvidenceSignedMessage(const SimulatedEvidence& evidence) {
  Bytes out;
  Append(out, "shoji simulated evidence v1");
  Append(out, SimulatedEvidenceBody(evidence));
  return out;
}

Bytes EncodeSimulatedEvidence(const SimulatedEvidence& evidence) {
  Bytes out = SimulatedEvidenceBody(evidence);
  Append(out, evidence.signature);
  SHOJI_CHECK(out.size() == kSimulatedEvidenceBytes);
  return out;
}

absl::StatusOr<SimulatedEvidence> DecodeSimulatedEvidence(ByteSpan bytes) {
  if (bytes.size() != kSimulatedEvidenceBytes) {
    return absl::InvalidArgumentError("simulated evidence has " + std::to_string(bytes.size()) + " bytes instead of " +
                                      std::to_string(kSimulatedEvidenceBytes));
  }
  if (!std::equal(kMagic.begin(), kMagic.end(), bytes.begin())) {
    return absl::InvalidArgumentError("not simulated evidence: wrong magic");
  }
  bytes = bytes.subspan(kMagic.size());
  if (bytes[0] != kVersion || (bytes[1] & ~kDebugFlag) != 0 || bytes[2] != 0 || bytes[3] != 0) {
    return absl::InvalidArgumentError("simulated evidence of an unknown version or with unknown flags");
  }
  SimulatedEvidence out;
  out.debug = (bytes[1] & kDebugFlag) != 0;
  bytes = bytes.subspan(4);
  Take(bytes, out.measurement);
  Take(bytes, out.report_data);
  Take(bytes, out.signer);
  Take(bytes, out.signature);
  return out;
}

}  // namespace shoji::attest
