// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"
#include "lib/rpc/endpoint.h"

namespace shoji::client {

// `status` of a call to `server`. Where it says that the two ends will never agree (a certificate that is not trusted
// or of another name, TLS against a plaintext port), the result is FAILED_PRECONDITION and says what is wrong and what
// to do; where it may be so (a connection that is closed at once), it says what to look at and keeps its code. Where
// nobody answers, or the name of the host is not known, it says so. Whatever else kept the call from a connection is
// UNAVAILABLE, and marked (NobodyAnswers). Anything else is returned as it is.
absl::Status ExplainConnection(const absl::Status& status, const rpc::Endpoint& server);

// Explains the failures of one transport after another, for gRPC does not say each time why there is no connection.
// `clock` must outlive it. Thread-safe.
class ConnectionExplainer {
 public:
  ConnectionExplainer(rpc::Endpoint server, const Clock& clock) : server_(std::move(server)), clock_(clock) {}

  // ExplainConnection; and for a connection that was given up without a cause, what was found before.
  absl::Status Explain(const absl::Status& status);
  // The same; and plaintext that is cut off at once is told from plaintext that wants to be TLS, which is asked of the
  // server, once and for two seconds at most.
  absl::Status ExplainAskingTheServer(const absl::Status& status);
  // Why there is no connection, at a deadline.
  absl::Status NoConnectionYet();

 private:
  const rpc::Endpoint server_;
  const Clock& clock_;
  absl::Mutex mu_;
  bool was_asked_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> last_ ABSL_GUARDED_BY(mu_);  // with a cause
};

}  // namespace shoji::client
