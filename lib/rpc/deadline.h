// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// gRPC states deadlines on the system clock; we keep them on the steady one.
#pragma once

#include <optional>

#include "lib/base/clock.h"

namespace shoji::rpc {

// The deadline that grpc::ServerContextBase::deadline() returned; nullopt when the caller set none.
std::optional<SteadyTime> FromGrpcDeadline(SystemTime deadline, const Clock& clock);

// For grpc::ClientContext::set_deadline().
SystemTime ToGrpcDeadline(SteadyTime deadline, const Clock& clock);

}  // namespace shoji::rpc
