// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/trace.h"

#include <grpcpp/server_context.h>

#include "lib/telemetry/trace_context.h"

namespace shoji::rpc {

std::string TraceParentOf(const grpc::ServerContextBase& context) {
  const auto [begin, end] = context.client_metadata().equal_range(telemetry::kTraceParentKey);
  if (begin == end || std::next(begin) != end) {
    return "";
  }
  return telemetry::ParseTraceParent({begin->second.data(), begin->second.size()}).value_or("");
}

}  // namespace shoji::rpc
