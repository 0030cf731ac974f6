// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/hostile_service.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "absl/time/time.h"
#include "lib/rpc/status.h"

namespace shoji::testing {
namespace {

namespace pb = internal::v1;

using Stream = grpc::ServerReaderWriter<pb::AttachResponse, pb::AttachRequest>;

// After the timeout that the enclave gave, so that its own clock is past it too.
constexpr std::chrono::milliseconds kLateBy(20);
// Where it gave none, and at most.
constexpr std::chrono::seconds kLongestDelay(60);

// One stream's answers on their way from the tenant to the enclave. Thread-safe.
class HostileStream final : public accelerator::AnswerSink {
 public:
  HostileStream(grpc::ServerContext& context, Stream& stream, Attacker& attacker, const Clock& clock)
      : context_(context), stream_(stream), attacker_(attacker), clock_(clock), sender_([this] { SendAll(); }) {}
  ~HostileStream() override {
    const absl::MutexLock lock(&mu_);
    ended_ = true;
  }  // joins the sender

  // Sees what the enclave sends before the tenant does.
  void Note(const pb::AttachRequest& request) {
    const absl::MutexLock lock(&mu_);
    if (request.has_upload_begin() && request.upload_begin().format() == pb::LINEAR_LAYER) {
      uploads_[request.id()] = {request.upload_begin().digest(), {}};
    } else if (const auto upload = uploads_.find(request.id()); upload != uploads_.end()) {
      if (request.has_upload_chunk()) {
        Append(upload->second.bytes, request.upload_chunk().data());
      } else {
        attacker_.Learn(upload->second.digest, upload->second.bytes);
        uploads_.erase(upload);
      }
    } else if (request.has_execute()) {
      const std::chrono::microseconds timeout(
          std::min<uint64_t>(request.execute().timeout_micros(), std::chrono::microseconds(kLongestDelay).count()));
      executions_[request.id()] = {request.execute().digest(), clock_.SteadyNow() + timeout + kLateBy};
    }
  }

  void Send(pb::AttachResponse answer) override {
    const absl::MutexLock lock(&mu_);
    Attacker::Outcome outcome;
    SteadyTime when = clock_.SteadyNow();
    const auto execution = executions_.find(answer.id());
    if (execution != executions_.end() && answer.has_execute_reply()) {
      const Execution was = execution->second;
      executions_.erase(execution);
      std::vector<uint64_t> other_ids;
      for (const auto& [id, other] : executions_) {
        other_ids.push_back(id);
      }
      outcome = attacker_.Treat(was.digest, other_ids, std::move(answer));
      when = outcome.late ? std::max(when, was.late) : when;
    } else {
      executions_.erase(answer.id());
      outcome.answer = std::move(answer);
    }
    if (outcome.close_stream) {
      context_.TryCancel();
    } else if (outcome.answer.has_value()) {
      outbox_.emplace(when, *std::move(outcome.answer));
    }
  }

 private:
  struct Upload {
    std::string digest;
    Bytes bytes;
  };
  struct Execution {
    std::string digest;
    SteadyTime late;  // an answer after this is
  };

  bool DueOrEnded() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return ended_ || (!outbox_.empty() && outbox_.begin()->first <= clock_.SteadyNow());
  }
  bool AnyOrEnded() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return ended_ || !outbox_.empty(); }

  void SendAll() {
    while (true) {
      pb::AttachResponse next;
      {
        const absl::MutexLock lock(&mu_);
        mu_.Await(absl::Condition(this, &HostileStream::AnyOrEnded));
        while (!DueOrEnded()) {  // an earlier one may come meanwhile, or the end
          const absl::Duration rest = absl::FromChrono(outbox_.begin()->first - clock_.SteadyNow());
          mu_.AwaitWithTimeout(absl::Condition(this, &HostileStream::DueOrEnded), rest);
        }
        if (ended_) {
          return;
        }
        next = std::move(outbox_.begin()->second);
        outbox_.erase(outbox_.begin());
      }
      if (!stream_.Write(next)) {
        context_.TryCancel();  // a message over its limit makes the enclave end the stream, too
      }
    }
  }

  grpc::ServerContext& context_;
  Stream& stream_;
  Attacker& attacker_;
  const Clock& clock_;
  absl::Mutex mu_;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  std::map<uint64_t, Upload> uploads_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, Execution> executions_ ABSL_GUARDED_BY(mu_);
  std::multimap<SteadyTime, pb::AttachResponse> outbox_ ABSL_GUARDED_BY(mu_);
  std::jthread sender_;  // last: it uses all of the above
};

}  // namespace

grpc::Status HostileService::Describe(grpc::ServerContext* /*context*/, const pb::DescribeRequest* /*request*/,
                                      pb::DescribeResponse* response) {
  response->set_software_version("hostile");
  response->set_backend("cpu");
  response->set_num_tenants(static_cast<uint32_t>(tenants_.size()));
  return grpc::Status::OK;
}

grpc::Status HostileService::Attach(grpc::ServerContext* context, Stream* stream) {
  HostileStream sink(*context, *stream, attacker_, clock_);
  const absl::StatusOr<std::shared_ptr<accelerator::Tenant>> tenant = tenants_.Admit(sink);
  if (!tenant.ok()) {
    return rpc::ToGrpcStatus(tenant.status());
  }
  stream->SendInitialMetadata();  // tells the enclave that it was admitted
  absl::Status end;
  pb::AttachRequest request;
  while (end.ok() && stream->Read(&request)) {
    sink.Note(request);
    if (request.has_execute()) {
      recorder_.Record(request.execute());
    }
    end = (*tenant)->Handle(std::move(request));
    request.Clear();
  }
  tenants_.Release(**tenant);  // `sink` is not used any more
  return rpc::ToGrpcStatus(end);
}

}  // namespace shoji::testing
