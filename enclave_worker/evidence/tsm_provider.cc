// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/evidence/tsm_provider.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <utility>

#include "lib/attest/sev_snp/evidence_data.h"
#include "lib/attest/sev_snp/report.h"
#include "lib/base/status_macros.h"

namespace shoji::enclave {
namespace {

constexpr size_t kMaxTextBytes = 256;
constexpr size_t kMaxOutputBytes = size_t{128} << 10;
constexpr int kMaxNames = 64;  // folders left behind by processes that died
constexpr const char* kMissing =
    "mount configfs at /sys/kernel/config, run a kernel of version 6.7 or later, and load tdx_guest or sev_guest; "
    "making "
    "folders there takes root, or CAP_SYS_ADMIN and ownership";
constexpr const char* kRequestHint = "see the kernel's log; the host's quoting service may be down";

// A report folder, removed at the end.
class ReportFolder {
 public:
  static absl::StatusOr<std::unique_ptr<ReportFolder>> Create(DeviceFiles& files, const TsmProvider::Options& options) {
    int error = EEXIST;
    for (int i = 0; i < kMaxNames && error == EEXIST; ++i) {
      const std::string path =
          options.root + "/" + options.name_prefix + "-" + std::to_string(::getpid()) + "-" + std::to_string(i);
      error = files.MakeFolder(path);
      if (error == 0) {
        return std::unique_ptr<ReportFolder>(new ReportFolder(files, path));
      }
    }
    return DeviceError(error, "making a folder in " + options.root, kMissing);
  }
  ReportFolder(const ReportFolder&) = delete;
  ReportFolder& operator=(const ReportFolder&) = delete;
  ~ReportFolder() { files_.RemoveFolder(path_); }

  // One line of text, without its end.
  absl::StatusOr<std::string> ReadLine(const char* name) {
    ASSIGN_OR_RETURN(const Bytes bytes, Read(name, kMaxTextBytes));
    std::string out = ToString(bytes);
    if (out.ends_with('\n')) {
      out.pop_back();
    }
    return out;
  }
  absl::StatusOr<uint64_t> ReadGeneration() {
    ASSIGN_OR_RETURN(const std::string text, ReadLine("generation"));
    uint64_t out = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc() || end != text.data() + text.size()) {
      return absl::UnavailableError(path_ + "/generation is no number");
    }
    return out;
  }
  absl::StatusOr<Bytes> Read(const char* name, size_t max_size) {
    DeviceFiles::ReadResult read = files_.Read(path_ + "/" + name, max_size);
    if (read.error != 0) {
      return DeviceError(read.error, "reading " + path_ + "/" + name, kRequestHint);
    }
    return std::move(read.bytes);
  }
  // Where the file does not exist, nothing.
  absl::StatusOr<Bytes> ReadIfThere(const char* name, size_t max_size) {
    return files_.Exists(path_ + "/" + name) ? Read(name, max_size) : Bytes();
  }
  absl::Status Write(const char* name, ByteSpan bytes) {
    const int error = files_.Write(path_ + "/" + name, bytes);
    return error == 0 ? absl::OkStatus() : DeviceError(error, "writing " + path_ + "/" + name, kRequestHint);
  }

 private:
  ReportFolder(DeviceFiles& files, std::string path) : files_(files), path_(std::move(path)) {}

  DeviceFiles& files_;
  const std::string path_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<EvidenceProvider>> TsmProvider::Create(Options options, DeviceFiles& files) {
  if (!files.Exists(options.root)) {
    return absl::FailedPreconditionError(options.root + " does not exist; " + kMissing);
  }
  const absl::StatusOr<std::unique_ptr<ReportFolder>> folder = ReportFolder::Create(files, options);
  if (!folder.ok()) {
    return absl::FailedPreconditionError(std::string(folder.status().message()));
  }
  ASSIGN_OR_RETURN(const std::string provider, (*folder)->ReadLine("provider"));
  if (provider != "tdx_guest" && provider != "sev_guest") {
    return absl::FailedPreconditionError(options.root + " is served by \"" + provider +
                                         "\"; tdx_guest and sev_guest are supported");
  }
  const auto kind = provider == "tdx_guest" ? attest::EvidenceKind::kTdx : attest::EvidenceKind::kSevSnp;
  return std::unique_ptr<EvidenceProvider>(new TsmProvider(std::move(options), kind, files));
}

absl::StatusOr<attest::Evidence> TsmProvider::Generate(const attest::ReportData& report_data) {
  const absl::MutexLock lock(&mu_);
  return WithRetries(options_.retry, [&] { return Try(report_data); });
}

absl::StatusOr<attest::Evidence> TsmProvider::Try(const attest::ReportData& report_data) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ReportFolder> folder, ReportFolder::Create(files_, options_));
  ASSIGN_OR_RETURN(const uint64_t before, folder->ReadGeneration());
  uint64_t num_writes = 0;
  if (kind_ == attest::EvidenceKind::kSevSnp && options_.privlevel.has_value()) {
    RETURN_IF_ERROR(folder->Write("privlevel", AsBytes(std::to_string(*options_.privlevel))));
    ++num_writes;
  }
  RETURN_IF_ERROR(folder->Write("inblob", report_data));
  ++num_writes;
  attest::Evidence evidence = {kind_, {}};
  ASSIGN_OR_RETURN(evidence.data, folder->Read("outblob", kMaxOutputBytes));
  if (kind_ == attest::EvidenceKind::kSevSnp) {
    if (evidence.data.size() != attest::sev_snp::kReportBytes) {
      return absl::UnavailableError("the kernel answered with a report of " + std::to_string(evidence.data.size()) +
                                    " bytes");
    }
    ASSIGN_OR_RETURN(const Bytes table, folder->ReadIfThere("auxblob", attest::sev_snp::kMaxCertificateTableBytes));
    Append(evidence.data, table);
  }
  // The kernel drops an error that happens while it takes the input over; then the generation has not moved.
  ASSIGN_OR_RETURN(const uint64_t after, folder->ReadGeneration());
  if (after != before + num_writes) {
    return absl::AbortedError("the request was changed while it was made: generation " + std::to_string(after) +
                              " instead of " + std::to_string(before + num_writes));
  }
  RETURN_IF_ERROR(CheckBinds(evidence, report_data));
  return evidence;
}

}  // namespace shoji::enclave
