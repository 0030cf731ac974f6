// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>

namespace grpc {
class ServerContextBase;
}

namespace shoji::rpc {

// The traceparent in a call's metadata when there is exactly one and it is valid; else empty.
std::string TraceParentOf(const grpc::ServerContextBase& context);

}  // namespace shoji::rpc
