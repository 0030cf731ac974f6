// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/accelerator_service.h"

#include <chrono>
#include <cstddef>
#include <deque>
#include <set>
#include <utility>

#include <grpcpp/support/server_callback.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/rpc/status.h"
#include "shoji/internal/v1/accelerator.grpc.pb.h"

namespace shoji::accelerator {
namespace {

namespace pb = internal::v1;

class ServiceImpl;

// One stream: at most one read and one write under way, answers in between in the outbox. Reading pauses while the
// outbox is full, so that a tenant that does not read its answers stops itself. Owns itself: made by Attach, gone after
// OnDone. Lock order: the tenant's lock, then `mu_`; the tenant is never called under `mu_`.
class AttachStream final : public grpc::ServerBidiReactor<pb::AttachRequest, pb::AttachResponse>, public AnswerSink {
 public:
  // `quotas` bound the answers that wait while the tenant does not read them.
  AttachStream(ServiceImpl& service, TenantTable& tenants, const TenantQuotas& quotas);

  void Send(pb::AttachResponse answer) override;
  // The stream ends as soon as nothing is under way.
  void Drain();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override { End(absl::CancelledError("cancelled")); }
  void OnDone() override;

 private:
  bool OutboxFull() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return outbox_.size() > max_waiting_ || outbox_bytes_ > max_waiting_bytes_;
  }
  void WriteFront() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Read();
  void End(const absl::Status& status);
  void EndIfDrained();

  ServiceImpl& service_;
  TenantTable& tenants_;
  const size_t max_waiting_;
  const uint64_t max_waiting_bytes_;
  // Shared with the table and the tenant's jobs; null when it was not admitted.
  std::shared_ptr<Tenant> tenant_;
  pb::AttachRequest request_;  // of the read under way

  absl::Mutex mu_;
  std::deque<pb::AttachResponse> outbox_ ABSL_GUARDED_BY(mu_);  // the front one is being written while `writing_`
  uint64_t outbox_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool read_paused_ ABSL_GUARDED_BY(mu_) = false;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool ending_ ABSL_GUARDED_BY(mu_) = false;
  grpc::Status end_ ABSL_GUARDED_BY(mu_);
};

class ServiceImpl final : public AcceleratorService, public pb::AcceleratorService::CallbackService {
 public:
  ServiceImpl(Options options, TenantTable& tenants) : options_(std::move(options)), tenants_(tenants) {}

  grpc::Service& service() override { return *this; }

  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context, const pb::DescribeRequest* /*request*/,
                                     pb::DescribeResponse* response) override {
    response->set_software_version(options_.software_version);
    response->set_backend(options_.backend);
    response->set_num_tenants(static_cast<uint32_t>(tenants_.size()));
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerBidiReactor<pb::AttachRequest, pb::AttachResponse>* Attach(
      grpc::CallbackServerContext* /*context*/) override {
    const absl::MutexLock lock(&mu_);
    auto* stream = new AttachStream(*this, tenants_, tenants_.quotas());  // owns itself
    streams_.insert(stream);
    return stream;
  }

  void Forget(AttachStream* stream) {
    const absl::MutexLock lock(&mu_);
    streams_.erase(stream);
  }

  void Drain() override {
    tenants_.Drain();
    const absl::MutexLock lock(&mu_);
    for (AttachStream* stream : streams_) {
      stream->Drain();
    }
  }

  bool WaitUntilEmpty(SteadyTime deadline) override {
    const absl::Duration patience = absl::FromChrono(deadline - std::chrono::steady_clock::now());
    const absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(this, &ServiceImpl::Empty), patience);
  }

 private:
  bool Empty() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return streams_.empty(); }

  const Options options_;
  TenantTable& tenants_;
  absl::Mutex mu_;
  std::set<AttachStream*> streams_ ABSL_GUARDED_BY(mu_);
};

AttachStream::AttachStream(ServiceImpl& service, TenantTable& tenants, const TenantQuotas& quotas)
    : service_(service),
      tenants_(tenants),
      max_waiting_(quotas.num_executions + 64),
      max_waiting_bytes_(quotas.execution_bytes) {
  absl::StatusOr<std::shared_ptr<Tenant>> tenant = tenants.Admit(*this);
  if (!tenant.ok()) {
    End(tenant.status());
    return;
  }
  tenant_ = *std::move(tenant);
  StartSendInitialMetadata();  // tells the enclave that it was admitted
  StartRead(&request_);
}

void AttachStream::Send(pb::AttachResponse answer) {
  const absl::MutexLock lock(&mu_);
  if (ending_) {
    return;
  }
  outbox_bytes_ += answer.ByteSizeLong();
  outbox_.push_back(std::move(answer));
  if (!writing_) {
    WriteFront();
  }
}

void AttachStream::WriteFront() {
  writing_ = true;
  StartWrite(&outbox_.front());
}

void AttachStream::OnReadDone(bool ok) {
  if (!ok) {
    End(absl::OkStatus());
    return;
  }
  if (absl::Status status = tenant_->Handle(std::move(request_)); !status.ok()) {
    End(status);
    return;
  }
  Read();
}

void AttachStream::Read() {
  const absl::MutexLock lock(&mu_);
  if (ending_) {
    return;
  }
  read_paused_ = OutboxFull();
  if (!read_paused_) {
    request_.Clear();
    StartRead(&request_);
  }
}

void AttachStream::OnWriteDone(bool ok) {
  bool resume = false;
  bool empty = false;
  {
    const absl::MutexLock lock(&mu_);
    writing_ = false;
    if (ending_) {
      Finish(end_);
      return;
    }
    outbox_bytes_ -= outbox_.front().ByteSizeLong();
    outbox_.pop_front();
    if (ok && !outbox_.empty()) {
      WriteFront();
    }
    resume = read_paused_ && !OutboxFull();
    read_paused_ = read_paused_ && !resume;
    empty = outbox_.empty();
  }
  if (!ok) {
    End(absl::CancelledError("the stream broke"));
    return;
  }
  if (resume) {
    Read();
  }
  if (empty) {
    EndIfDrained();
  }
}

void AttachStream::Drain() {
  {
    const absl::MutexLock lock(&mu_);
    draining_ = true;
  }
  EndIfDrained();
}

void AttachStream::EndIfDrained() {
  if (tenant_ == nullptr || !tenant_->Idle()) {
    return;
  }
  {
    const absl::MutexLock lock(&mu_);
    if (!draining_ || !outbox_.empty()) {
      return;
    }
  }
  End(absl::UnavailableError("the accelerator is shutting down"));
}

void AttachStream::End(const absl::Status& status) {
  {
    const absl::MutexLock lock(&mu_);
    if (ending_) {
      return;
    }
    ending_ = true;
    end_ = rpc::ToGrpcStatus(status);
    if (!writing_) {
      Finish(end_);
    }
  }
  if (tenant_ != nullptr) {
    tenant_->Close();
  }
}

void AttachStream::OnDone() {
  if (tenant_ != nullptr) {
    tenants_.Release(*tenant_);
  }
  service_.Forget(this);
  delete this;
}

}  // namespace

std::unique_ptr<AcceleratorService> AcceleratorService::Create(Options options, TenantTable& tenants) {
  return std::make_unique<ServiceImpl>(std::move(options), tenants);
}

}  // namespace shoji::accelerator
