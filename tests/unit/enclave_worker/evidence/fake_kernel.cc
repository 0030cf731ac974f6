// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/enclave_worker/evidence/fake_kernel.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "enclave_worker/evidence/sev_guest_ioctl.h"

namespace shoji::testing {
namespace {

constexpr const char* kTsm = "/sys/kernel/config/tsm/report";
constexpr size_t kReportDataBytes = 64;
constexpr size_t kReportOffset = 32;

std::string NameIn(const std::string& path) { return path.substr(path.rfind('/') + 1); }
std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

void PutUint32(uint8_t* out, uint32_t value) { std::memcpy(out, &value, sizeof(value)); }

}  // namespace

int FakeKernel::TakeError(const std::string& path) {
  if (errors.empty() || !path.ends_with(errors.front().first)) {
    return 0;
  }
  const int error = errors.front().second;
  errors.erase(errors.begin());
  return error;
}

Bytes FakeKernel::Signed(ByteSpan report_data) const {
  Bytes out = quote;
  std::copy(report_data.begin(), report_data.end(), out.begin() + static_cast<ptrdiff_t>(report_data_offset));
  return out;
}

void FakeKernel::Commit(Report& report, ByteSpan inblob) {
  if (drop_commit) {
    drop_commit = false;
    return;
  }
  report.inblob.assign(inblob.begin(), inblob.end());
  ++report.write_generation;
}

void FakeKernel::RaceInblob(const Bytes& inblob) {
  for (auto& [path, report] : reports_) {
    Commit(report, inblob);
  }
}

bool FakeKernel::Exists(const std::string& path) {
  if (path == kTsm) {
    return has_tsm;
  }
  if (path == "/dev/sev-guest") {
    return has_sev_guest;
  }
  return reports_.contains(FolderOf(path)) && (NameIn(path) != "auxblob" || tsm_provider == "sev_guest");
}

FakeKernel::ReadResult FakeKernel::ReadReport(Report& report, const std::string& name) {
  if (name == "provider") {
    return {0, ToBytes(tsm_provider + "\n")};
  }
  if (name == "generation") {
    return {0, ToBytes(std::to_string(report.write_generation) + "\n")};
  }
  if (report.inblob.size() != kReportDataBytes) {
    return {EINVAL, {}};
  }
  if (report.read_generation != report.write_generation) {
    report.outblob = Signed(report.inblob);
    report.read_generation = report.write_generation;
  }
  return {0, name == "outblob" ? report.outblob : certificate_table};
}

FakeKernel::ReadResult FakeKernel::Read(const std::string& path, size_t max_size) {
  if (before_read) {
    before_read(path);
  }
  log.push_back("read " + NameIn(path));
  if (const int error = TakeError(path); error != 0) {
    return {error, {}};
  }
  ReadResult out = {ENOENT, {}};
  if (path == "/dev/attestation/attestation_type" && !gramine_type.empty()) {
    out = {0, ToBytes(gramine_type)};
  } else if (path == "/dev/attestation/quote" && !gramine_type.empty()) {
    out = gramine_type == "dcap" ? ReadResult{0, Signed(user_report_data_)} : ReadResult{EACCES, {}};
  } else if (const auto report = reports_.find(FolderOf(path)); report != reports_.end()) {
    out = ReadReport(report->second, NameIn(path));
  }
  return out.bytes.size() > max_size ? ReadResult{EFBIG, {}} : out;
}

int FakeKernel::Write(const std::string& path, ByteSpan bytes) {
  log.push_back("write " + NameIn(path) + " " + std::to_string(bytes.size()));
  if (const int error = TakeError(path); error != 0) {
    return error;
  }
  if (path == "/dev/attestation/user_report_data" && !gramine_type.empty()) {
    user_report_data_.assign(kReportDataBytes, 0);
    std::copy_n(bytes.begin(), std::min(bytes.size(), kReportDataBytes), user_report_data_.begin());
    return 0;
  }
  const auto report = reports_.find(FolderOf(path));
  if (report == reports_.end()) {
    return ENOENT;
  }
  if (NameIn(path) == "inblob") {
    Commit(report->second, bytes);
    return 0;
  }
  const auto level = static_cast<uint32_t>(std::stoul(ToString(bytes)));
  if (NameIn(path) != "privlevel" || tsm_provider != "sev_guest" || level < privlevel_floor || level > 3) {
    return EINVAL;
  }
  last_privlevel = level;
  ++report->second.write_generation;
  return 0;
}

int FakeKernel::MakeFolder(const std::string& path) {
  log.push_back("mkdir");
  if (const int error = TakeError(path); error != 0) {
    return error;
  }
  if (!has_tsm || FolderOf(path) != kTsm) {
    return ENOENT;
  }
  if (tsm_provider.empty()) {
    return ENXIO;
  }
  return reports_.emplace(path, Report()).second ? 0 : EEXIST;
}

int FakeKernel::RemoveFolder(const std::string& path) {
  log.push_back("rmdir");
  return reports_.erase(path) == 1 ? 0 : ENOENT;
}

int FakeKernel::Ioctl(const std::string& path, unsigned long request, void* argument) {
  log.push_back(request == enclave::kSnpGetReport ? "get report" : "get extended report");
  if (const int error = TakeError(path); error != 0) {
    return error;
  }
  auto& guest = *static_cast<enclave::SnpGuestRequest*>(argument);
  const bool extended = request == enclave::kSnpGetExtendedReport;
  if (guest.message_version != 1 || (extended && !extended_report_supported)) {
    return EINVAL;
  }
  if (!vmm_errors.empty()) {
    guest.vmm_error = vmm_errors.front();
    vmm_errors.erase(vmm_errors.begin());
    return EIO;
  }
  auto& report_request = *reinterpret_cast<enclave::SnpReportRequest*>(guest.request_data);
  if (extended) {
    auto& extended_request = *reinterpret_cast<enclave::SnpExtendedReportRequest*>(guest.request_data);
    if (extended_request.certs_len < certificate_table.size()) {
      extended_request.certs_len = static_cast<uint32_t>((certificate_table.size() + 4095) / 4096 * 4096);
      guest.vmm_error = enclave::kVmmErrorInvalidLength;
      return EIO;
    }
    std::memcpy(reinterpret_cast<void*>(extended_request.certs_address), certificate_table.data(),
                certificate_table.size());
  }
  last_vmpl = report_request.vmpl;
  const Bytes report = Signed(report_request.user_data);
  auto* response = reinterpret_cast<uint8_t*>(guest.response_data);
  PutUint32(response, 0);
  PutUint32(response + 4, static_cast<uint32_t>(report.size()));
  std::copy(report.begin(), report.end(), response + kReportOffset);
  return 0;
}

}  // namespace shoji::testing
