// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/rpc/event_loop.h"
#include "lib/telemetry/log.h"
#include "server/router.h"
#include "shoji/internal/v1/enclave.grpc.pb.h"

namespace shoji::server {

// How calls reach one enclave; what is under way keeps it while the enclave is given up. Its methods are called with
// bytes, on any loop. Thread-safe.
struct EnclaveConnection {
  EnclaveConnection(std::string of, const std::shared_ptr<grpc::Channel>& channel)
      : name(std::move(of)), stub(channel) {}

  const std::string name;
  grpc::GenericStub stub;
};

// Watches one enclave. A thread keeps a Watch stream open on an event loop, takes the enclave out of the
// router the moment the stream ends or has been silent for 15 s, and connects again with a backoff of 100 ms to 2 s;
// the loop feeds the router with what the stream says. A call may learn earlier that the connection is lost, and says
// so. Thread-safe.
class EnclaveLink {
 public:
  // `on_change` is called after every change to the router, by the link's thread or the loop's. Everything referred to
  // must outlive the link.
  static std::unique_ptr<EnclaveLink> Create(const std::string& name, const std::shared_ptr<grpc::Channel>& channel,
                                             size_t index, rpc::EventLoop& loop, Router& router,
                                             std::function<void()> on_change, telemetry::Logger& logger);
  EnclaveLink(const EnclaveLink&) = delete;
  EnclaveLink& operator=(const EnclaveLink&) = delete;
  // Ends the stream and joins the thread. Not to be called by the loop, which the stream's end needs.
  ~EnclaveLink();

  // Ends the stream soon, and waits for nothing.
  void Stop();
  // The connection is lost: the enclave is out of the router when this returns, and the stream is opened anew, without
  // waiting for that.
  void Abandon();

 private:
  class Stream;

  EnclaveLink(std::string name, size_t index, rpc::EventLoop& loop, Router& router, std::function<void()> on_change,
              telemetry::Logger& logger);
  void Run();
  // One stream from open to end. Returns whether the enclave said anything.
  bool RunStream();
  // What the stream brings; called by the loop.
  void OnState(internal::v1::EnclaveState state);

  const std::string name_;
  const size_t index_;
  rpc::EventLoop& loop_;
  Router& router_;
  const std::function<void()> on_change_;
  telemetry::Logger& logger_;
  std::unique_ptr<internal::v1::EnclaveService::Stub> watch_stub_;

  bool is_reported_lost_ = false;  // the thread's: says once that the enclave is out of reach, not at every attempt

  absl::Mutex mu_;
  bool is_stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool is_abandoned_ ABSL_GUARDED_BY(mu_) = false;  // what the present stream still says is not looked at
  std::jthread thread_;                             // last: joined before the rest goes
};

}  // namespace shoji::server
