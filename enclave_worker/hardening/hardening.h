// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the enclave process gives up at start, before it reads anything secret and before it starts a thread:
//   core dumps            RLIMIT_CORE 0, soft and hard
//   being inspected       PR_SET_DUMPABLE 0: no core, no ptrace or /proc/PID/mem by its own user
//   gaining privileges    PR_SET_NO_NEW_PRIVS
//   most system calls     a seccomp filter on every thread; syscall_filter.h lists what stays allowed
// In a confidential VM this narrows what an attacker gains from a bug in this process; against the host it is the TEE
// that protects.
//
// Which system calls the evidence provider takes is known only once the configuration is read, so the first filter
// leaves those of every provider, and NarrowTo takes away the others'.
#pragma once

#include <string>
#include <vector>

#include "enclave_worker/hardening/syscall_filter.h"

namespace shoji::enclave {

struct HardeningMeasure {
  std::string name;
  bool on = false;
  std::string detail;  // why not, or how it is relaxed
};

// Switches on every measure that the system offers and reports each. Call once, from main, before any thread starts.
std::vector<HardeningMeasure> HardenProcess();

// Leaves of the calls for evidence only `needed`, for good. Call once, after HardenProcess.
HardeningMeasure NarrowTo(EvidenceCalls needed);

}  // namespace shoji::enclave
