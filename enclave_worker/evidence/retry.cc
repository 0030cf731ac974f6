// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/evidence/retry.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "lib/attest/intel/quote.h"
#include "lib/attest/sev_snp/report.h"
#include "lib/base/bytes.h"
#include "lib/base/status_macros.h"

namespace shoji::enclave {
namespace {

absl::StatusOr<attest::ReportData> ReportDataOf(const attest::Evidence& evidence) {
  if (evidence.kind == attest::EvidenceKind::kSevSnp) {
    const size_t size = std::min(evidence.data.size(), attest::sev_snp::kReportBytes);
    ASSIGN_OR_RETURN(const auto report, attest::sev_snp::ParseReport(ByteSpan(evidence.data).first(size)));
    return report.report_data;
  }
  ASSIGN_OR_RETURN(const auto quote, attest::intel::ParseQuote(evidence.data));
  const bool is_sgx = evidence.kind == attest::EvidenceKind::kSgx;
  if ((quote.tee() == attest::intel::TeeType::kSgx) != is_sgx) {
    return absl::InvalidArgumentError("a quote of " + std::string(NameOf(quote.tee())));
  }
  return quote.report_data();
}

}  // namespace

absl::StatusOr<attest::Evidence> WithRetries(const Retry& retry, const Attempt& attempt) {
  std::chrono::milliseconds pause = retry.first_pause;
  absl::StatusOr<attest::Evidence> result = absl::UnavailableError("no attempt was made");
  for (int i = 0; i < retry.attempts; ++i) {
    if (i > 0) {
      if (retry.pause) {
        retry.pause(pause);
      } else {
        std::this_thread::sleep_for(pause);
      }
      pause *= 2;
    }
    result = attempt();
    if (!absl::IsAborted(result.status())) {
      return result;
    }
  }
  return absl::UnavailableError("gave up after " + std::to_string(retry.attempts) +
                                " attempts: " + std::string(result.status().message()));
}

absl::Status DeviceError(int error, const std::string& operation, const std::string& hint) {
  char buffer[128] = "";
  const std::string message = operation + ": " + strerror_r(error, buffer, sizeof(buffer));
  const bool transient = error == EBUSY || error == EINTR || error == EAGAIN || error == ETIMEDOUT;
  if (transient) {
    return absl::AbortedError(message);
  }
  return absl::UnavailableError(message + "; " + hint);
}

absl::Status CheckBinds(const attest::Evidence& evidence, const attest::ReportData& expected) {
  const absl::StatusOr<attest::ReportData> found = ReportDataOf(evidence);
  if (!found.ok()) {
    return absl::UnavailableError("the platform answered with evidence that is malformed: " +
                                  std::string(found.status().message()));
  }
  if (*found != expected) {
    return absl::AbortedError("the platform answered with evidence for another request");
  }
  return absl::OkStatus();
}

}  // namespace shoji::enclave
