// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/runtime.h"

#include <mutex>

#include <grpc/grpc.h>

namespace shoji::rpc {

void KeepGrpcRunning() {
  static std::once_flag once;
  std::call_once(once, [] { grpc_init(); });
}

}  // namespace shoji::rpc
