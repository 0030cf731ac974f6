// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <functional>
#include <optional>

#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "lib/rpc/event_loop.h"
#include "shoji/internal/v1/enclave.grpc.pb.h"

namespace shoji::enclave {

// One call of EnclaveService.Watch, from before it comes: a watcher of the enclave's state. It holds the newest state
// that it has not written yet; older ones are skipped. Deletes itself when gRPC is done with it.
class WatchCall {
 public:
  // All outlive the calls. On the loop: `on_watching` when the call has come, `on_gone` before it is deleted if it had.
  struct Method {
    internal::v1::EnclaveService::AsyncService& service;
    std::function<void(WatchCall&)> on_watching;
    std::function<void(WatchCall&)> on_gone;
    rpc::EventLoop& loop;
  };

  // Takes the next call, and then one after the other until the server stops.
  static void Accept(const Method& method);

  WatchCall(const WatchCall&) = delete;
  WatchCall& operator=(const WatchCall&) = delete;

  // Between on_watching and the end of on_gone; thread-safe.
  void Push(internal::v1::EnclaveState state);
  // Ends the call after the state that is being written. Later ones do nothing.
  void End(const absl::Status& status);

 private:
  explicit WatchCall(const Method& method);
  ~WatchCall() = default;

  void OnAccepted(bool ok);
  void OnWritten(bool ok);
  void OnDone(bool ok);
  void OnFinished(bool ok);

  // Writes the newest state or ends, whichever is due.
  void GoOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // On the loop, which runs one event after the other: of what is under way, one is over.
  void Release();

  const Method& method_;
  const rpc::EventLoop::Hold hold_{method_.loop};
  grpc::ServerContext context_;
  internal::v1::WatchRequest request_;
  grpc::ServerAsyncWriter<internal::v1::EnclaveState> writer_{&context_};
  absl::Mutex mu_;
  std::optional<internal::v1::EnclaveState> next_ ABSL_GUARDED_BY(mu_);
  bool is_writing_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
  bool is_finished_ ABSL_GUARDED_BY(mu_) = false;
  int num_pending_ ABSL_GUARDED_BY(mu_) = 2;  // that it is over, that it has been finished; and a write
  rpc::MemberEvent<WatchCall, &WatchCall::OnAccepted> accepted_event_{*this};
  rpc::MemberEvent<WatchCall, &WatchCall::OnWritten> written_event_{*this};
  rpc::MemberEvent<WatchCall, &WatchCall::OnDone> done_event_{*this};
  rpc::MemberEvent<WatchCall, &WatchCall::OnFinished> finished_event_{*this};
};

}  // namespace shoji::enclave
