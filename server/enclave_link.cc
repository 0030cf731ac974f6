// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/enclave_link.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <grpcpp/client_context.h>
#include <grpcpp/support/async_stream.h>

#include "absl/time/time.h"
#include "lib/rpc/status.h"

namespace shoji::server {
namespace {

using internal::v1::EnclaveService;
using internal::v1::EnclaveState;

constexpr absl::Duration kMaxSilence = absl::Seconds(15);
constexpr absl::Duration kMinBackoff = absl::Milliseconds(100);
constexpr absl::Duration kMaxBackoff = absl::Seconds(2);

}  // namespace

// One Watch call. Owned by RunStream, which waits until it is done before it lets go.
class EnclaveLink::Stream {
 public:
  explicit Stream(EnclaveLink& link) : link_(link) {
    // Until the enclave is there; the channel's own backoff sets the pace.
    context_.set_wait_for_ready(true);
    reader_ = link_.watch_stub_->PrepareAsyncWatch(&context_, {}, &link_.loop_.queue());
    reader_->StartCall(&started_event_);
  }
  void Cancel() { context_.TryCancel(); }

  // The caller holds link_.mu_ for all of these.
  bool is_done() const { return is_done_; }
  size_t num_messages() const { return num_messages_; }
  const absl::Status& status() const { return status_; }

 private:
  void OnStarted(bool ok) { ReadOrFinish(ok); }
  void OnRead(bool ok) {
    if (ok) {
      link_.OnState(std::exchange(state_, EnclaveState()));
      const absl::MutexLock lock(&link_.mu_);
      ++num_messages_;
    }
    ReadOrFinish(ok);
  }
  void ReadOrFinish(bool ok) {
    if (ok) {
      reader_->Read(&state_, &read_event_);
    } else {
      reader_->Finish(&grpc_status_, &finished_event_);
    }
  }
  void OnFinished(bool /*ok*/) {
    const absl::MutexLock lock(&link_.mu_);
    status_ = rpc::FromGrpcStatus(grpc_status_);
    is_done_ = true;
  }

  EnclaveLink& link_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReader<EnclaveState>> reader_;
  rpc::MemberEvent<Stream, &Stream::OnStarted> started_event_{*this};
  rpc::MemberEvent<Stream, &Stream::OnRead> read_event_{*this};
  rpc::MemberEvent<Stream, &Stream::OnFinished> finished_event_{*this};
  EnclaveState state_;
  grpc::Status grpc_status_;
  absl::Status status_;
  bool is_done_ = false;
  size_t num_messages_ = 0;
};

std::unique_ptr<EnclaveLink> EnclaveLink::Create(const std::string& name, const std::shared_ptr<grpc::Channel>& channel,
                                                 size_t index, rpc::EventLoop& loop, Router& router,
                                                 std::function<void()> on_change, telemetry::Logger& logger) {
  std::unique_ptr<EnclaveLink> out(new EnclaveLink(name, index, loop, router, std::move(on_change), logger));
  out->watch_stub_ = EnclaveService::NewStub(channel);
  out->thread_ = std::jthread([link = out.get()] { link->Run(); });
  return out;
}

EnclaveLink::EnclaveLink(std::string name, size_t index, rpc::EventLoop& loop, Router& router,
                         std::function<void()> on_change, telemetry::Logger& logger)
    : name_(std::move(name)),
      index_(index),
      loop_(loop),
      router_(router),
      on_change_(std::move(on_change)),
      logger_(logger) {}

EnclaveLink::~EnclaveLink() { Stop(); }

void EnclaveLink::Stop() {
  const absl::MutexLock lock(&mu_);
  is_stopping_ = true;
}

void EnclaveLink::Abandon() {
  const absl::MutexLock lock(&mu_);
  is_abandoned_ = true;
  router_.Remove(index_);
}

void EnclaveLink::Run() {
  absl::Duration backoff = kMinBackoff;
  while (true) {
    const bool has_spoken = RunStream();
    router_.Remove(index_);
    on_change_();
    backoff = has_spoken ? kMinBackoff : std::min(backoff * 2, kMaxBackoff);
    const absl::MutexLock lock(&mu_);
    if (mu_.AwaitWithTimeout(absl::Condition(&is_stopping_), backoff)) {
      return;
    }
  }
}

bool EnclaveLink::RunStream() {
  {
    const absl::MutexLock lock(&mu_);
    is_abandoned_ = false;
  }
  Stream stream(*this);
  mu_.Lock();
  size_t num_seen = 0;
  const auto is_over = [this, &stream] {
    mu_.AssertReaderHeld();
    return is_stopping_ || is_abandoned_ || stream.is_done();
  };
  // Wakes at a message, at the end, and when there was neither for too long.
  const auto has_news = [&] { return is_over() || stream.num_messages() != num_seen; };
  while (mu_.AwaitWithTimeout(absl::Condition(&has_news), kMaxSilence) && !is_over()) {
    if (num_seen == 0) {
      logger_.Info("enclave_connected", {{"enclave", name_}});
    }
    num_seen = stream.num_messages();
  }
  const std::string_view cause = is_abandoned_ ? "a call lost its connection" : is_over() ? "stream ended" : "silent";
  const bool has_spoken = num_seen != 0;
  mu_.Unlock();
  stream.Cancel();
  mu_.Lock();
  const auto is_done = [&stream] { return stream.is_done(); };
  mu_.Await(absl::Condition(&is_done));
  const bool is_stopping = is_stopping_;
  mu_.Unlock();
  if (!is_stopping && (has_spoken || !is_reported_lost_)) {
    logger_.Warning(has_spoken ? "enclave_lost" : "enclave_unreachable",
                    {{"enclave", name_}, {"cause", cause}, {"detail", std::string(stream.status().message())}});
  }
  is_reported_lost_ = true;
  return has_spoken;
}

void EnclaveLink::OnState(EnclaveState state) {
  const bool is_ready = state.ready();
  const std::string why = state.not_ready_because().substr(0, 200);
  absl::Status valid;
  {
    const absl::MutexLock lock(&mu_);
    if (is_abandoned_) {
      return;
    }
    valid = router_.Update(index_, std::move(state));
  }
  if (!valid.ok()) {
    logger_.Warning("enclave_state_refused", {{"enclave", name_}, {"cause", std::string(valid.message())}});
  } else {
    logger_.Debug("enclave_state", {{"enclave", name_}, {"ready", is_ready ? "yes" : "no"}, {"because", why}});
  }
  on_change_();
}

}  // namespace shoji::server
