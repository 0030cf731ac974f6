// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/hardening/hardening.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "enclave_worker/hardening/syscall_filter.h"

namespace shoji::enclave {
namespace {

HardeningMeasure Measure(std::string name, int result) {
  return {std::move(name), result == 0, result == 0 ? "" : std::strerror(errno)};
}

}  // namespace

std::vector<HardeningMeasure> HardenProcess() {
  std::vector<HardeningMeasure> out;
  const rlimit no_core = {0, 0};
  out.push_back(Measure("no core dumps", ::setrlimit(RLIMIT_CORE, &no_core)));
  out.push_back(Measure("not dumpable", ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)));
  out.push_back(Measure("no new privileges", ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)));
  const SyscallFilterResult filter = InstallSyscallFilter();
  out.push_back({"system call filter", filter.installed, filter.detail});
  return out;
}

HardeningMeasure NarrowTo(EvidenceCalls needed) {
  const SyscallFilterResult filter = NarrowSyscallFilter(needed);
  return {"system calls for evidence narrowed", filter.installed, filter.detail};
}

}  // namespace shoji::enclave
