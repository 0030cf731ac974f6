// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/evidence/gramine_provider.h"

#include <utility>

#include "lib/base/status_macros.h"

namespace shoji::enclave {
namespace {

constexpr size_t kMaxQuoteBytes = size_t{64} << 10;
constexpr size_t kMaxTypeBytes = 64;
constexpr const char* kHint =
    "check that the AESM service and a PCCS run on the host, and that the manifest says "
    "sgx.remote_attestation = \"dcap\"";

}  // namespace

absl::StatusOr<std::unique_ptr<EvidenceProvider>> GramineProvider::Create(Options options, DeviceFiles& files) {
  const std::string path = options.root + "/attestation_type";
  DeviceFiles::ReadResult type = files.Read(path, kMaxTypeBytes);
  if (type.error != 0) {
    return absl::FailedPreconditionError(path +
                                         " cannot be read: this process does not run in an SGX enclave under "
                                         "Gramine with remote attestation");
  }
  while (!type.bytes.empty() && (type.bytes.back() == '\n' || type.bytes.back() == '\0')) {
    type.bytes.pop_back();
  }
  if (ToString(type.bytes) != "dcap") {
    return absl::FailedPreconditionError(path + " says \"" + ToString(type.bytes) +
                                         "\"; write sgx.remote_attestation = \"dcap\" in the Gramine manifest");
  }
  return std::unique_ptr<EvidenceProvider>(new GramineProvider(std::move(options), files));
}

absl::StatusOr<attest::Evidence> GramineProvider::Generate(const attest::ReportData& report_data) {
  const absl::MutexLock lock(&mu_);
  return WithRetries(options_.retry, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return Try(report_data); });
}

absl::StatusOr<attest::Evidence> GramineProvider::Try(const attest::ReportData& report_data) {
  // One write of all 64 bytes: each write replaces the whole value.
  const std::string input = options_.root + "/user_report_data";
  if (const int error = files_.Write(input, report_data); error != 0) {
    return DeviceError(error, "writing " + input, kHint);
  }
  const std::string output = options_.root + "/quote";
  DeviceFiles::ReadResult quote = files_.Read(output, kMaxQuoteBytes);
  if (quote.error != 0) {
    return DeviceError(quote.error, "reading " + output, kHint);
  }
  attest::Evidence evidence = {attest::EvidenceKind::kSgx, std::move(quote.bytes)};
  RETURN_IF_ERROR(CheckBinds(evidence, report_data));
  return evidence;
}

}  // namespace shoji::enclave
