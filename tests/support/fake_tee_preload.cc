// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Loaded into a daemon by LD_PRELOAD, it is the kernel's side of configfs-tsm and of /dev/sev-guest, in an ordinary
// folder and an ordinary file. Every call is made for real first, under whatever filter the daemon has: what the filter
// denies stays denied. The rules are those of tests/unit/enclave_worker/evidence/fake_kernel.h.
//
//   SHOJI_FAKE_TSM        folder that stands for /sys/kernel/config/tsm/report
//   SHOJI_FAKE_PROVIDER   what `provider` says there
//   SHOJI_FAKE_SEV_GUEST  file that stands for /dev/sev-guest
//   SHOJI_FAKE_QUOTE      file with a genuine quote or report, to put report data into
//   SHOJI_FAKE_OFFSET     where
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "enclave_worker/evidence/sev_guest_ioctl.h"

namespace {

constexpr size_t kReportDataBytes = 64;
constexpr const char* kAttributes[] = {"provider", "generation", "inblob", "outblob"};

// The inblob that is open for writing; one request at a time.
std::atomic<int> open_inblob = -1;
std::string open_folder;  // NOLINT(cert-err58-cpp): test code

std::string Setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The report folder that `path` is in, or is; empty for other paths.
std::string ReportFolderOf(const std::string& path) {
  const std::string root = Setting("SHOJI_FAKE_TSM") + "/";
  if (root.size() == 1 || path.rfind(root, 0) != 0) {
    return "";
  }
  return path.substr(0, path.find('/', root.size()));
}

std::string ReadAll(const std::string& path) {
  const long file = syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC, 0);
  std::string out;
  char buffer[4096];
  for (long num = 1; file >= 0 && num > 0;) {
    num = syscall(SYS_read, file, buffer, sizeof(buffer));
    out.append(buffer, num > 0 ? static_cast<size_t>(num) : 0);
  }
  syscall(SYS_close, file);
  return out;
}

void WriteAll(const std::string& path, const std::string& text) {
  const long file = syscall(SYS_openat, AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (syscall(SYS_write, file, text.data(), text.size()) != static_cast<long>(text.size())) {
    std::abort();
  }
  syscall(SYS_close, file);
}

std::string Signed(const std::string& report_data) {
  std::string out = ReadAll(Setting("SHOJI_FAKE_QUOTE"));
  return out.replace(std::stoul(Setting("SHOJI_FAKE_OFFSET")), kReportDataBytes, report_data);
}

void Commit(const std::string& folder) {
  const std::string report_data = ReadAll(folder + "/inblob");
  if (report_data.size() != kReportDataBytes) {
    return;
  }
  WriteAll(folder + "/outblob", Signed(report_data));
  WriteAll(folder + "/generation", std::to_string(std::stoul(ReadAll(folder + "/generation")) + 1) + "\n");
}

int AnswerSevGuest(unsigned long request, shoji::enclave::SnpGuestRequest& guest) {
  const auto& wanted = *reinterpret_cast<const shoji::enclave::SnpReportRequest*>(guest.request_data);
  if (request == shoji::enclave::kSnpGetExtendedReport) {
    const auto& extended = *reinterpret_cast<const shoji::enclave::SnpExtendedReportRequest*>(guest.request_data);
    std::memset(reinterpret_cast<void*>(extended.certs_address), 0, extended.certs_len);  // no certificates
  }
  const std::string report = Signed(std::string(reinterpret_cast<const char*>(wanted.user_data), kReportDataBytes));
  auto& response = *reinterpret_cast<shoji::enclave::SnpReportResponse*>(guest.response_data);
  const auto size = static_cast<uint32_t>(report.size());
  std::memset(response.data, 0, 32);
  std::memcpy(response.data + 4, &size, sizeof(size));
  std::memcpy(response.data + 32, report.data(), report.size());
  return 0;
}

}  // namespace

extern "C" {

int mkdir(const char* path, mode_t mode) {
  const long result = syscall(SYS_mkdir, path, mode);
  if (result == 0 && ReportFolderOf(path) == path) {
    const std::string folder = path;
    WriteAll(folder + "/provider", Setting("SHOJI_FAKE_PROVIDER") + "\n");
    WriteAll(folder + "/generation", "0\n");
    WriteAll(folder + "/inblob", "");
    WriteAll(folder + "/outblob", "");
  }
  return static_cast<int>(result);
}

int rmdir(const char* path) {
  if (ReportFolderOf(path) == path) {
    for (const char* attribute : kAttributes) {
      syscall(SYS_unlink, (std::string(path) + "/" + attribute).c_str());
    }
  }
  return static_cast<int>(syscall(SYS_rmdir, path));
}

int open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  const long file = syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  const std::string folder = ReportFolderOf(path);
  if (file >= 0 && !folder.empty() && (flags & O_ACCMODE) == O_WRONLY && std::string(path) == folder + "/inblob") {
    open_folder = folder;
    open_inblob = static_cast<int>(file);
  }
  return static_cast<int>(file);
}

// configfs takes a binary attribute over when its file is closed.
int close(int file) {
  const bool is_inblob = file >= 0 && open_inblob == file;
  const long result = syscall(SYS_close, file);
  if (is_inblob) {
    open_inblob = -1;
    Commit(open_folder);
  }
  return static_cast<int>(result);
}

int ioctl(int file, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  const long result = syscall(SYS_ioctl, file, request, argument);
  const bool is_sev_guest =
      request == shoji::enclave::kSnpGetReport || request == shoji::enclave::kSnpGetExtendedReport;
  // An ordinary file refuses with ENOTTY; a filter would with another error.
  if (result != 0 && errno == ENOTTY && is_sev_guest && !Setting("SHOJI_FAKE_SEV_GUEST").empty()) {
    return AnswerSevGuest(request, *static_cast<shoji::enclave::SnpGuestRequest*>(argument));
  }
  return static_cast<int>(result);
}
}
