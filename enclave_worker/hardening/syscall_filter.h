// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The enclave's seccomp filter: a list of what it may call, everything else fails with EPERM. What it keeps, and why,
// stands beside each group in syscall_filter.cc. Executable mappings stay allowed because oneDNN generates its kernels
// at run time; starting a process, tracing, reading another process' memory, loading code into the kernel and mounting
// are not.
#pragma once

#include <cstdint>
#include <string>

namespace shoji::enclave {

// What asking the platform for evidence takes beyond opening, reading and writing files.
enum class EvidenceCalls : uint8_t {
  kNone,
  kFolders,        // removing folders: configfs-tsm
  kSevGuestIoctl,  // the two requests of /dev/sev-guest
};

struct SyscallFilterResult {
  bool installed = false;
  std::string detail;
};

// Installs the filter on all threads of the process. In sanitizer builds it only denies what is dangerous, because the
// sanitizers' own runtime needs more (LeakSanitizer clones and traces); `detail` says so.
SyscallFilterResult InstallSyscallFilter();

// A second filter on all threads, upon the first: of EvidenceCalls only `needed` stay allowed, and no further filter
// can be installed.
SyscallFilterResult NarrowSyscallFilter(EvidenceCalls needed);

}  // namespace shoji::enclave
