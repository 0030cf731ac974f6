// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/intel/tcb_status.h"

#include "lib/attest/x509/certificate.h"

namespace shoji::attest::intel {

std::string_view NameOf(TcbStatus status) {
  switch (status) {
    case TcbStatus::kUpToDate:
      return "UpToDate";
    case TcbStatus::kSwHardeningNeeded:
      return "SWHardeningNeeded";
    case TcbStatus::kConfigurationNeeded:
      return "ConfigurationNeeded";
    case TcbStatus::kConfigurationAndSwHardeningNeeded:
      return "ConfigurationAndSWHardeningNeeded";
    case TcbStatus::kOutOfDate:
      return "OutOfDate";
    case TcbStatus::kOutOfDateConfigurationNeeded:
      return "OutOfDateConfigurationNeeded";
    case TcbStatus::kRevoked:
      return "Revoked";
  }
  return "unknown";
}

std::optional<TcbStatus> TcbStatusNamed(std::string_view name) {
  for (const TcbStatus status : kAllTcbStatuses) {
    if (NameOf(status) == name) {
      return status;
    }
  }
  return std::nullopt;
}

std::string ToString(const TcbVerdict& verdict) {
  std::string out = std::string(NameOf(verdict.status)) + " of " + x509::TimeToString(verdict.date);
  for (size_t i = 0; i < verdict.advisories.size(); ++i) {
    out += (i == 0 ? " (" : ", ") + verdict.advisories[i];
  }
  return verdict.advisories.empty() ? out : out + ")";
}

}  // namespace shoji::attest::intel
