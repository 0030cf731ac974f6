// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <grpcpp/alarm.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/clock.h"
#include "lib/rpc/event_loop.h"
#include "lib/rpc/server.h"
#include "lib/telemetry/log.h"
#include "server/admission.h"
#include "server/authenticator.h"
#include "server/enclave_link.h"
#include "server/enclave_table.h"
#include "server/health_board.h"
#include "server/intake.h"
#include "server/lanes.h"
#include "server/method.h"
#include "server/refusal.h"
#include "server/router.h"
#include "server/server_metrics.h"

namespace shoji::server {

// The limits that calls look at themselves, which a reload replaces. Thread-safe.
class LiveLimits {
 public:
  explicit LiveLimits(std::chrono::nanoseconds max_deadline) : max_deadline_(max_deadline.count()) {}
  std::chrono::nanoseconds max_deadline() const { return std::chrono::nanoseconds(max_deadline_.load()); }
  void set_max_deadline(std::chrono::nanoseconds value) { max_deadline_.store(value.count()); }

 private:
  std::atomic<int64_t> max_deadline_;
};

// What every call works with; owned by the front end and outlives all calls.
struct CallEnvironment {
  LiveLimits& limits;
  const Clock& clock;
  telemetry::Logger& logger;
  telemetry::RateLimit& strangers;  // of the lines about calls without a token that is accepted
  ServerMetrics& metrics;
  const Authenticator& authenticator;
  Intake& intake;
  Intake& open_intake;  // of the methods that need no token
  Admission& admission;
  Router& router;
  HealthBoard& health;
  EnclaveTable& enclaves;
  grpc::AsyncGenericService& generic;
};

// The life of one call, from before it comes until gRPC is done with it: token and its limits, a look at the queue,
// room for its body, body; then, for what an enclave answers, route, slot, send, answer. The bytes of request and
// answer are passed on as they are. One log line. Cancellation, the deadline and the traceparent go on to the enclave.
//
// Every operation under way and every wait counts in `num_pending_`; whoever ends the last one deletes the call. All
// events of a call come from one loop, one after the other; OnVerdict, OnCutOff and the watcher's functions may come
// from others at the same time, so each hand-over has one owner: who takes the call out of the intake, the admission or
// the health board finishes it.
class Call final : private Admission::Waiter, private Intake::Body, private HealthBoard::Watcher {
 public:
  // Takes the next call that comes to `loop`, and then one after the other until the server stops.
  static void Accept(CallEnvironment& environment, rpc::EventLoop& loop);

 private:
  Call(CallEnvironment& environment, rpc::EventLoop& loop);
  ~Call() override;

  void OnAccepted(bool ok);
  void OnRead(bool ok);
  void OnAnswered(bool ok);
  void OnWritten(bool ok);
  void OnFinished(bool ok);
  void OnDone(bool ok);
  void OnLate(bool ok);

  void OnCutOff() override;                             // Intake::Body
  void OnVerdict(Admission::Verdict verdict) override;  // Admission::Waiter
  void OnHealth(HealthBoard::Status status) override;   // HealthBoard::Watcher
  void OnEnd(const absl::Status& status) override;      // the same

  void Begin();
  void TakeDeadline();
  // What can be said before the body is read: the token, its limits, and a queue that would not take the call.
  std::optional<Refusal> JudgeHead();
  std::optional<Refusal> ForeseeQueue();
  void Handle();
  void Forward();
  // A forwarded call waits for a slot, anew when the enclave that it waited for is gone.
  void Queue();
  void Send();
  void AnswerHealthCheck();
  void WatchHealth();
  // What the request says of where it goes. INVALID_ARGUMENT when it is not the method's message.
  absl::Status ReadRoute();
  absl::StatusOr<size_t> Route();
  // Whether `enclave` can still answer the call.
  bool IsThere(size_t enclave) const;
  void Refuse(Refusal refusal);
  std::chrono::milliseconds RetryAfter(const absl::Status& status) const;
  void Finish(const absl::Status& status);
  // Whoever has no token does not say how much is logged.
  bool IsLogged() const {
    return method_->needs_token() &&
           (refusal_ != Refusal::kUnauthenticated || environment_.strangers.Admit().has_value());
  }
  void Log(const absl::Status& status, std::chrono::nanoseconds took) const;
  void Release();

  Work work() const { return method_->handling == Handling::kForwardByModel ? Work::kEvidence : Work::kRequest; }
  Intake& intake() { return method_->needs_token() ? environment_.intake : environment_.open_intake; }

  CallEnvironment& environment_;
  rpc::EventLoop& loop_;
  const rpc::EventLoop::Hold hold_{loop_};
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};
  const Method* method_ = nullptr;
  std::shared_ptr<Account> account_;  // with the tokens in force; set when the call counts in it
  std::string trace_parent_;
  SteadyTime started_;
  SteadyTime deadline_;
  bool is_deadline_ours_ = false;  // gRPC knows the caller's own and ends the call then
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  std::string key_id_;
  std::string model_;
  std::string sealed_digest_;
  size_t request_bytes_ = 0;
  std::optional<Refusal> refusal_;
  std::chrono::nanoseconds retry_after_ = {};  // of a refusal that knows
  bool is_in_intake_ = false;
  bool is_ended_ = false;  // its status is on its way
  bool is_watching_ = false;
  std::atomic<bool> is_cancelled_ = false;

  std::optional<size_t> enclave_;                  // the one it goes to, or waits for
  std::shared_ptr<EnclaveConnection> connection_;  // to that one; kept while the enclave is given up
  uint64_t generation_ = 0;                        // the router's, when it was sent
  int num_routed_ = 0;
  SteadyTime queued_at_;
  std::chrono::nanoseconds waited_ = {};
  std::optional<grpc::Alarm> alarm_;  // of a deadline of ours, while it waits
  grpc::ClientContext client_context_;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> forwarded_;
  grpc::Status answer_;

  rpc::MemberEvent<Call, &Call::OnAccepted> accepted_event_{*this};
  rpc::MemberEvent<Call, &Call::OnRead> read_event_{*this};
  rpc::MemberEvent<Call, &Call::OnAnswered> answered_event_{*this};
  rpc::MemberEvent<Call, &Call::OnWritten> written_event_{*this};
  rpc::MemberEvent<Call, &Call::OnFinished> finished_event_{*this};
  rpc::MemberEvent<Call, &Call::OnDone> done_event_{*this};
  rpc::MemberEvent<Call, &Call::OnLate> late_event_{*this};
  std::atomic<int> num_pending_ = 1;  // accepting; then that gRPC says done
};

}  // namespace shoji::server
