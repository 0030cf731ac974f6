// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/accelerator/accelerator_client.h"

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include "absl/time/time.h"
#include "lib/base/check.h"
#include "shoji/internal/v1/accelerator.grpc.pb.h"

namespace shoji::enclave {

namespace pb = internal::v1;

namespace {

// How often, at most, a stream is looked after.
constexpr std::chrono::milliseconds kShortestTick(1);

}  // namespace

// One Attach call: at most one read and one write under way. Lock order: the link's outlet lock, then `mu_`, then the
// link's state; the link is told of events with `mu_` not held. Lives until Await has said that it is done.
class AcceleratorClient::Stream final : public grpc::ClientBidiReactor<pb::AttachRequest, pb::AttachResponse>,
                                        public LinkOutlet {
 public:
  Stream(pb::AcceleratorService::Stub& stub, AcceleratorLink& link) : link_(link) {
    stub.async()->Attach(&context_, this);
    AddHold();  // for writes that do not start in a reaction; released when reading ends
    StartRead(&response_);
    StartCall();
  }

  void MoreToSend() override {
    const absl::MutexLock lock(&mu_);
    Pump();
  }
  void Break() override { context_.TryCancel(); }

  void OnReadInitialMetadataDone(bool ok) override {
    if (!ok) {
      return;
    }
    {
      const absl::MutexLock lock(&mu_);
      connected_ = true;
    }
    link_.Connected(*this);
  }

  void OnReadDone(bool ok) override {
    if (ok && link_.Received(response_).ok()) {
      response_.Clear();
      StartRead(&response_);
      return;
    }
    if (ok) {
      Break();
    }
    {
      const absl::MutexLock lock(&mu_);
      reading_ = false;
    }
    RemoveHold();
  }

  void OnWriteDone(bool ok) override {
    const absl::MutexLock lock(&mu_);
    writing_ = false;
    if (ok) {
      Pump();
    }
  }

  void OnDone(const grpc::Status& status) override {
    link_.Disconnected(static_cast<absl::StatusCode>(status.error_code()));
    const absl::MutexLock lock(&mu_);
    done_ = true;
  }

  // Whether the call has ended before `patience` is over.
  bool Await(absl::Duration patience) {
    const absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(&done_), patience);
  }
  bool connected() {
    const absl::MutexLock lock(&mu_);
    return connected_;
  }

 private:
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (writing_ || !reading_) {
      return;
    }
    std::optional<pb::AttachRequest> next = link_.NextToSend();
    if (next.has_value()) {
      request_ = *std::move(next);
      writing_ = true;
      StartWrite(&request_);
    }
  }

  AcceleratorLink& link_;
  grpc::ClientContext context_;
  pb::AttachResponse response_;  // of the read under way
  absl::Mutex mu_;
  pb::AttachRequest request_ ABSL_GUARDED_BY(mu_);  // of the write under way
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool reading_ ABSL_GUARDED_BY(mu_) = true;
  bool connected_ ABSL_GUARDED_BY(mu_) = false;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
};

absl::StatusOr<std::unique_ptr<AcceleratorClient>> AcceleratorClient::Create(Options options,
                                                                             ReadinessSignal& readiness,
                                                                             const Clock& clock) {
  if (options.channel == nullptr) {
    return absl::InvalidArgumentError("accelerator " + options.name + " has no channel");
  }
  return std::unique_ptr<AcceleratorClient>(new AcceleratorClient(std::move(options), readiness, clock));
}

AcceleratorClient::AcceleratorClient(Options options, ReadinessSignal& readiness, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      link_(std::make_unique<AcceleratorLink>(options_.link, readiness, clock)),
      thread_([this] { KeepConnected(); }) {}

AcceleratorClient::~AcceleratorClient() {
  {
    const absl::MutexLock lock(&mu_);
    stopping_ = true;
    if (stream_ != nullptr) {
      stream_->Break();
    }
  }
  thread_.join();
}

void AcceleratorClient::KeepConnected() {
  std::minstd_rand random(std::random_device{}());  // for jitter, which is no secret
  std::uniform_real_distribution<double> uniform(0, 1);
  Backoff backoff(options_.backoff);
  while (true) {
    if (RunStream()) {
      backoff.Reset();
    }
    const absl::Duration delay = absl::FromChrono(backoff.Next(uniform(random)));
    const absl::MutexLock lock(&mu_);
    if (mu_.AwaitWithTimeout(absl::Condition(&stopping_), delay)) {
      return;
    }
  }
}

bool AcceleratorClient::RunStream() {
  const std::unique_ptr<pb::AcceleratorService::Stub> stub = pb::AcceleratorService::NewStub(options_.channel);
  Stream stream(*stub, *link_);
  {
    const absl::MutexLock lock(&mu_);
    stream_ = &stream;
    if (stopping_) {
      stream.Break();
    }
  }
  const SteadyTime give_up = clock_.SteadyNow() + options_.connect_timeout;
  const std::chrono::nanoseconds tick =
      std::max<std::chrono::nanoseconds>(std::min(options_.link.upload_retry, options_.connect_timeout), kShortestTick);
  while (!stream.Await(absl::FromChrono(tick))) {
    if (!stream.connected() && clock_.SteadyNow() >= give_up) {
      stream.Break();
    }
    link_->RetryRefused();
  }
  const absl::MutexLock lock(&mu_);
  stream_ = nullptr;
  return link_->answered();
}

}  // namespace shoji::enclave
