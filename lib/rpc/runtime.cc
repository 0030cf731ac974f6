// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/runtime.h"

#include <sys/resource.h>

#include <cstdlib>
#include <mutex>

#include <grpc/grpc.h>
#include <grpc/support/log.h>

#include "absl/synchronization/mutex.h"

namespace shoji::rpc {

void KeepGrpcRunning() {
  static std::once_flag once;
  std::call_once(once, [] {
#ifdef NDEBUG
    // Distributions build absl so that it looks for deadlocks at every lock, gRPC's own included: several percent of
    // the time of a process that passes messages on.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
    grpc_init();
  });
}

void SilenceGrpcLog() {
  if (std::getenv("GRPC_VERBOSITY") == nullptr) {
    gpr_set_log_function([](gpr_log_func_args* /*line*/) {});
  }
}

void RaiseFileLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);  // without it the process serves fewer
  }
}

}  // namespace shoji::rpc
