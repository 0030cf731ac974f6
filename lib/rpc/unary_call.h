// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <atomic>
#include <functional>
#include <utility>

#include <grpcpp/server_context.h>
#include <grpcpp/support/async_unary_call.h>

#include "absl/status/status.h"
#include "lib/rpc/event_loop.h"
#include "lib/rpc/status.h"

namespace shoji::rpc {

// One call of a unary method on an event loop, from before it comes until gRPC is done with it. Owns itself: it is
// deleted when it has been finished and gRPC has said that the call is over.
//
// The handler runs on the loop. Finish may be called from any thread; all else by the handler, and by whoever it hands
// the call to, until then.
template <typename Request, typename Response>
class UnaryCall {
 public:
  using Responder = grpc::ServerAsyncResponseWriter<Response>;
  // Of one method; outlives its calls.
  struct Method {
    // Asks gRPC for its next call: the Request... of the generated AsyncService.
    std::function<void(grpc::ServerContext*, Request*, Responder*, grpc::ServerCompletionQueue*, void* tag)> ask;
    std::function<void(UnaryCall& call)> handle;
    EventLoop& loop;
  };

  // Takes the method's next call, and then one after the other until the server stops.
  static void Accept(const Method& method) {
    new UnaryCall(method);  // deletes itself
  }

  UnaryCall(const UnaryCall&) = delete;
  UnaryCall& operator=(const UnaryCall&) = delete;

  const grpc::ServerContext& context() const { return context_; }
  const Request& request() const { return request_; }
  Response& response() { return response_; }

  // The caller has gone, or its deadline has passed. Thread-safe until Finish.
  bool is_cancelled() const { return is_cancelled_; }
  // `on_cancelled` runs on the loop once that is so, whether or not the call has been finished meanwhile. By the
  // handler only.
  void OnCancelled(std::function<void()> on_cancelled) { on_cancelled_ = std::move(on_cancelled); }

  // Answers, with the response if `status` is OK. Once; the call may be gone when it returns.
  void Finish(const absl::Status& status) {
    if (status.ok()) {
      responder_.Finish(response_, grpc::Status::OK, &finished_event_);
    } else {
      responder_.FinishWithError(ToGrpcStatus(status), &finished_event_);
    }
  }

 private:
  explicit UnaryCall(const Method& method) : method_(method) {
    context_.AsyncNotifyWhenDone(&done_event_);
    method.ask(&context_, &request_, &responder_, &method.loop.queue(), &accepted_event_);
  }
  ~UnaryCall() = default;

  void OnAccepted(bool ok) {
    if (!ok) {
      delete this;  // the server stops: no call came of this, and gRPC says nothing more of it
      return;
    }
    Accept(method_);
    method_.handle(*this);
  }
  void OnDone(bool /*ok*/) {
    if (context_.IsCancelled()) {
      is_cancelled_ = true;
      if (on_cancelled_) {
        on_cancelled_();
      }
    }
    Release();
  }
  void OnFinished(bool /*ok*/) { Release(); }
  // On the loop.
  void Release() {
    if (--num_pending_ == 0) {
      delete this;
    }
  }

  const Method& method_;
  const EventLoop::Hold hold_{method_.loop};
  grpc::ServerContext context_;
  Request request_;
  Response response_;
  Responder responder_{&context_};
  std::atomic<bool> is_cancelled_ = false;
  std::function<void()> on_cancelled_;
  int num_pending_ = 2;  // that it is over, and that it has been finished
  MemberEvent<UnaryCall, &UnaryCall::OnAccepted> accepted_event_{*this};
  MemberEvent<UnaryCall, &UnaryCall::OnDone> done_event_{*this};
  MemberEvent<UnaryCall, &UnaryCall::OnFinished> finished_event_{*this};
};

}  // namespace shoji::rpc
