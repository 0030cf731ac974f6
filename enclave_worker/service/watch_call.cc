// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/watch_call.h"

#include <utility>

#include "lib/rpc/status.h"

namespace shoji::enclave {

void WatchCall::Accept(const Method& method) {
  new WatchCall(method);  // deletes itself
}

WatchCall::WatchCall(const Method& method) : method_(method) {
  context_.AsyncNotifyWhenDone(&done_event_);
  method.service.RequestWatch(&context_, &request_, &writer_, &method.loop.queue(), &method.loop.queue(),
                              &accepted_event_);
}

void WatchCall::OnAccepted(bool ok) {
  if (!ok) {
    delete this;  // the server stops: no call came of this, and gRPC says nothing more of it
    return;
  }
  Accept(method_);
  method_.on_watching(*this);
}

void WatchCall::Push(internal::v1::EnclaveState state) {
  const absl::MutexLock lock(&mu_);
  next_ = std::move(state);
  GoOn();
}

void WatchCall::End(const absl::Status& status) {
  const absl::MutexLock lock(&mu_);
  if (!end_.has_value()) {
    end_ = status;
    GoOn();
  }
}

void WatchCall::GoOn() {
  if (is_writing_ || is_finished_) {
    return;
  }
  if (end_.has_value()) {
    is_finished_ = true;
    writer_.Finish(rpc::ToGrpcStatus(*end_), &finished_event_);
    return;
  }
  if (next_.has_value()) {
    is_writing_ = true;
    ++num_pending_;
    // gRPC has its own copy of the message when this returns.
    writer_.Write(*std::exchange(next_, std::nullopt), &written_event_);
  }
}

void WatchCall::OnWritten(bool ok) {
  {
    const absl::MutexLock lock(&mu_);
    is_writing_ = false;
    if (!ok && !end_.has_value()) {
      end_ = absl::CancelledError("cancelled");
    }
    GoOn();
  }
  Release();
}

void WatchCall::OnDone(bool /*ok*/) {
  if (context_.IsCancelled()) {
    End(absl::CancelledError("cancelled"));
  }
  Release();
}

void WatchCall::OnFinished(bool /*ok*/) { Release(); }

void WatchCall::Release() {
  {
    const absl::MutexLock lock(&mu_);
    if (--num_pending_ > 0) {
      return;
    }
  }
  method_.on_gone(*this);
  delete this;
}

}  // namespace shoji::enclave
