// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "absl/status/status.h"
#include "lib/rpc/endpoint.h"

namespace shoji::client {

// `status` of a call to `server`. Where it says that the two ends will never agree (a certificate that is not trusted
// or of another name, TLS against a plaintext port), the result is FAILED_PRECONDITION and says what is wrong and what
// to do; where it may be so (a connection that is closed at once), it says what to look at and keeps its code. Where
// nobody answers it says so, and is marked (NobodyAnswers). Anything else is returned as it is.
absl::Status ExplainConnection(const absl::Status& status, const rpc::Endpoint& server);

}  // namespace shoji::client
