// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// absl::Status with a Reason <-> grpc::Status with a serialized google.rpc.Status in its details, which holds one
// shoji.v1.ErrorDetail (docs/protocol.md, "Errors").
#pragma once

#include <chrono>

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "lib/base/reason.h"

namespace shoji::rpc {

// Keeps code and message. A Reason, and the advice of WithRetryAfter, travel in the details.
grpc::Status ToGrpcStatus(const absl::Status& status);

// Parses what a peer sent, which may be hostile: details that do not parse, or hold a reason that is not known here,
// are dropped, and a message is cut at 1 KiB.
absl::Status FromGrpcStatus(const grpc::Status& status);

// `status` with the advice to wait at least `delay` before a retry.
absl::Status WithRetryAfter(absl::Status status, std::chrono::milliseconds delay);
// That advice; zero when there is none.
std::chrono::milliseconds RetryAfterOf(const absl::Status& status);

}  // namespace shoji::rpc
