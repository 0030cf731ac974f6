// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/evidence/sev_guest_provider.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "enclave_worker/evidence/sev_guest_ioctl.h"
#include "lib/attest/field_reader.h"
#include "lib/attest/sev_snp/evidence_data.h"
#include "lib/attest/sev_snp/report.h"
#include "lib/base/status_macros.h"

namespace shoji::enclave {
namespace {

constexpr size_t kFirstTableBytes = size_t{16} << 10;  // whole pages; grown to what the kernel asks for
constexpr const char* kHint = "load the module sev-guest and let this process open the device";

// The report out of a response. UNAVAILABLE.
absl::StatusOr<Bytes> ReportOf(const SnpReportResponse& response) {
  attest::FieldReader reader(response.data);
  const uint32_t status = reader.Integer<uint32_t>();
  const uint32_t size = reader.Integer<uint32_t>();
  reader.Span(24);
  if (status != 0 || size != attest::sev_snp::kReportBytes) {
    return absl::UnavailableError("the processor's firmware answered with status " + std::to_string(status) +
                                  " and a report of " + std::to_string(size) + " bytes");
  }
  const ByteSpan report = reader.Span(size);
  return Bytes(report.begin(), report.end());
}

// One of the device's ioctls, and its buffers.
class Request {
 public:
  Request(const attest::ReportData& report_data, uint32_t vmpl) {
    std::copy(report_data.begin(), report_data.end(), extended_.data.user_data);
    extended_.data.vmpl = vmpl;
  }

  // Gives 0 or the errno; `vmm_error()` says more.
  int SendExtended(DeviceFiles& files, const std::string& device) {
    table_.assign(table_size_, 0);
    extended_.certs_address = reinterpret_cast<uint64_t>(table_.data());
    extended_.certs_len = static_cast<uint32_t>(table_.size());
    return Send(files, device, kSnpGetExtendedReport, reinterpret_cast<uint64_t>(&extended_));
  }
  int SendPlain(DeviceFiles& files, const std::string& device) {
    table_.clear();
    return Send(files, device, kSnpGetReport, reinterpret_cast<uint64_t>(&extended_.data));
  }
  uint32_t vmm_error() const { return guest_.vmm_error; }
  uint32_t firmware_error() const { return guest_.firmware_error; }
  // Takes the size that the kernel asked for. False when it is no larger, or too large.
  bool Grow() {
    const size_t wanted = extended_.certs_len;
    const bool grows = wanted > table_size_ && wanted <= attest::sev_snp::kMaxCertificateTableBytes;
    table_size_ = grows ? wanted : table_size_;
    return grows;
  }
  const SnpReportResponse& response() const { return response_; }
  const Bytes& table() const { return table_; }

 private:
  int Send(DeviceFiles& files, const std::string& device, unsigned long request, uint64_t data) {
    response_ = {};
    guest_ = {.message_version = 1,
              .request_data = data,
              .response_data = reinterpret_cast<uint64_t>(&response_),
              .firmware_error = 0,
              .vmm_error = 0};
    return files.Ioctl(device, request, &guest_);
  }

  SnpExtendedReportRequest extended_ = {};
  SnpReportResponse response_ = {};
  SnpGuestRequest guest_ = {};
  size_t table_size_ = kFirstTableBytes;
  Bytes table_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<EvidenceProvider>> SevGuestProvider::Create(Options options, DeviceFiles& files) {
  if (!files.Exists(options.device)) {
    return absl::FailedPreconditionError(options.device + " does not exist; " + kHint);
  }
  return std::unique_ptr<EvidenceProvider>(new SevGuestProvider(std::move(options), files));
}

absl::StatusOr<attest::Evidence> SevGuestProvider::Generate(const attest::ReportData& report_data) {
  const absl::MutexLock lock(&mu_);
  return WithRetries(options_.retry, [&] { return Try(report_data); });
}

absl::StatusOr<attest::Evidence> SevGuestProvider::Try(const attest::ReportData& report_data) {
  Request request(report_data, options_.vmpl);
  int error = request.SendExtended(files_, options_.device);
  if (error != 0 && request.vmm_error() == kVmmErrorInvalidLength && request.Grow()) {
    error = request.SendExtended(files_, options_.device);
  }
  if (error != 0 && request.vmm_error() == kVmmErrorBusy) {
    return absl::AbortedError(options_.device + ": the hypervisor is busy");
  }
  if (error == EINVAL || error == ENOTTY || error == EOPNOTSUPP ||
      (error != 0 && request.vmm_error() == kVmmErrorInvalidLength)) {
    error = request.SendPlain(files_, options_.device);  // without certificates: the client has them, or fetches them
  }
  if (error != 0) {
    return DeviceError(error, "requesting a report from " + options_.device,
                       std::string(kHint) + " (firmware error " + std::to_string(request.firmware_error()) +
                           ", VMM error " + std::to_string(request.vmm_error()) + ")");
  }
  attest::Evidence evidence = {attest::EvidenceKind::kSevSnp, {}};
  ASSIGN_OR_RETURN(evidence.data, ReportOf(request.response()));
  Append(evidence.data, request.table());
  RETURN_IF_ERROR(CheckBinds(evidence, report_data));
  return evidence;
}

}  // namespace shoji::enclave
