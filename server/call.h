// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

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
#include "server/config.h"
#include "server/enclave_link.h"
#include "server/health_board.h"
#include "server/intake.h"
#include "server/method.h"
#include "server/router.h"

namespace shoji::server {

// What every call works with; owned by the front end and outlives all calls.
struct CallEnvironment {
  const Limits& limits;
  const Clock& clock;
  telemetry::Logger& logger;
  const Authenticator& authenticator;
  Intake& intake;
  Intake& open_intake;  // of the methods that need no token
  Admission& admission;
  Router& router;
  HealthBoard& health;
  std::vector<std::unique_ptr<EnclaveLink>>& links;
  grpc::AsyncGenericService& generic;
};

// The life of one call, from before it comes until gRPC is done with it: token, room for its body, body; then, for what
// an enclave answers, route, slot, send, answer. The bytes of request and answer are passed on as they are. One log
// line. Cancellation and the deadline go on to the enclave.
//
// Every operation under way and every wait counts in `num_pending_`; whoever ends the last one deletes the call. All
// events of a call come from one loop, one after the other; OnSlot, OnCutOff and the watcher's functions may come from
// others at the same time, so each hand-over has one owner: who takes the call out of the intake, the admission or the
// health board finishes it.
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

  void OnCutOff() override;                            // Intake::Body
  void OnSlot(const absl::Status& status) override;    // Admission::Waiter
  void OnHealth(HealthBoard::Status status) override;  // HealthBoard::Watcher
  void OnEnd(const absl::Status& status) override;     // the same

  void Begin();
  void Handle();
  void Forward();
  void Send(EnclaveLink& link);
  void AnswerHealthCheck();
  void WatchHealth();
  // What the request says of where it goes. INVALID_ARGUMENT when it is not the method's message.
  absl::Status ReadRoute();
  absl::StatusOr<size_t> Route();
  void Finish(const absl::Status& status);
  void Log(const absl::Status& status) const;
  void Release();

  Intake& intake() { return method_->needs_token() ? environment_.intake : environment_.open_intake; }

  CallEnvironment& environment_;
  rpc::EventLoop& loop_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};
  const Method* method_ = nullptr;
  SteadyTime started_;
  SteadyTime deadline_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  std::string key_id_;
  std::string model_;
  std::string sealed_digest_;
  bool is_in_intake_ = false;
  bool is_watching_ = false;
  bool is_cancelled_ = false;

  std::string_view enclave_;
  grpc::ClientContext client_context_;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> forwarded_;
  grpc::Status answer_;

  rpc::MemberEvent<Call, &Call::OnAccepted> accepted_event_{*this};
  rpc::MemberEvent<Call, &Call::OnRead> read_event_{*this};
  rpc::MemberEvent<Call, &Call::OnAnswered> answered_event_{*this};
  rpc::MemberEvent<Call, &Call::OnWritten> written_event_{*this};
  rpc::MemberEvent<Call, &Call::OnFinished> finished_event_{*this};
  rpc::MemberEvent<Call, &Call::OnDone> done_event_{*this};
  std::atomic<int> num_pending_ = 1;  // accepting; then that gRPC says done
};

}  // namespace shoji::server
