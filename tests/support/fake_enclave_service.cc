// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/fake_enclave_service.h"

#include <list>
#include <set>
#include <utility>

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "absl/synchronization/mutex.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/server.h"
#include "lib/rpc/status.h"
#include "lib/rpc/trace.h"
#include "shoji/internal/v1/enclave.grpc.pb.h"

namespace shoji::testing {

using internal::v1::EnclaveState;

class FakeEnclave::Service final : public internal::v1::EnclaveService::CallbackService {
 public:
  Service(std::string name, EnclaveState state) : name_(std::move(name)), state_(std::move(state)) {}

  grpc::ServerUnaryReactor* GetEvidence(grpc::CallbackServerContext* context, const v1::GetEvidenceRequest* request,
                                        v1::GetEvidenceResponse* response) override {
    response->set_manifest(name_);
    response->mutable_evidence()->set_data(request->nonce());
    return Finish(context, absl::OkStatus());
  }
  grpc::ServerUnaryReactor* OpenSession(grpc::CallbackServerContext* context, const v1::OpenSessionRequest* request,
                                        v1::OpenSessionResponse* response) override {
    response->set_salt(name_);
    response->set_session_id(request->enc());
    return Finish(context, absl::OkStatus());
  }
  grpc::ServerUnaryReactor* Infer(grpc::CallbackServerContext* context, const v1::InferRequest* request,
                                  v1::InferResponse* response) override;
  grpc::ServerWriteReactor<EnclaveState>* Watch(grpc::CallbackServerContext* context,
                                                const internal::v1::WatchRequest* request) override;

  void Report(const EnclaveState& state);
  void Hold();
  void Let();
  void FailWith(const absl::Status& status) {
    const absl::MutexLock lock(&mu_);
    failure_ = status;
  }
  void AwaitHeld(size_t n) {
    const absl::MutexLock lock(&mu_);
    const auto reached = [this, n] { return held_.size() >= n; };
    mu_.Await(absl::Condition(&reached));
  }
  void AwaitCancelled(size_t n) {
    const absl::MutexLock lock(&mu_);
    const auto reached = [this, n] { return num_cancelled_ >= n; };
    mu_.Await(absl::Condition(&reached));
  }
  size_t num_infers() const {
    const absl::MutexLock lock(&mu_);
    return num_infers_;
  }
  std::chrono::milliseconds last_time_left() const {
    const absl::MutexLock lock(&mu_);
    return last_time_left_;
  }
  std::string last_ciphertext() const {
    const absl::MutexLock lock(&mu_);
    return last_ciphertext_;
  }
  std::string last_trace_parent() const {
    const absl::MutexLock lock(&mu_);
    return last_trace_parent_;
  }
  bool LetOne();
  void Stop();

 private:
  class HeldCall;
  class Stream;

  static grpc::ServerUnaryReactor* Finish(grpc::CallbackServerContext* context, const absl::Status& status) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(rpc::ToGrpcStatus(status));
    return reactor;
  }

  const std::string name_;
  mutable absl::Mutex mu_;
  EnclaveState state_;
  uint64_t version_ = 1;
  bool is_stopped_ = false;
  bool is_holding_ = false;
  absl::Status failure_;
  size_t num_infers_ = 0;
  size_t num_cancelled_ = 0;
  std::chrono::milliseconds last_time_left_{0};
  std::string last_ciphertext_;
  std::string last_trace_parent_;
  std::list<HeldCall*> held_;  // the oldest first
  std::set<Stream*> streams_;
};

class FakeEnclave::Service::HeldCall final : public grpc::ServerUnaryReactor {
 public:
  explicit HeldCall(Service& service) : service_(service) {}
  void OnCancel() override {
    {
      const absl::MutexLock lock(&service_.mu_);
      if (service_.held_.remove(this) == 0) {
        return;
      }
      ++service_.num_cancelled_;
    }
    Finish(grpc::Status(grpc::StatusCode::CANCELLED, "cancelled"));
  }
  void OnDone() override { delete this; }

 private:
  Service& service_;
};

class FakeEnclave::Service::Stream final : public grpc::ServerWriteReactor<EnclaveState> {
 public:
  explicit Stream(Service& service) : service_(service) {}
  void OnWriteDone(bool ok) override {
    const absl::MutexLock lock(&service_.mu_);
    is_writing_ = false;
    if (ok) {
      AdvanceLocked();
    } else {
      FinishLocked();
    }
  }
  void OnCancel() override {
    const absl::MutexLock lock(&service_.mu_);
    FinishLocked();
  }
  void OnDone() override {
    {
      const absl::MutexLock lock(&service_.mu_);
      service_.streams_.erase(this);
    }
    delete this;
  }
  void AdvanceLocked() {
    if (service_.is_stopped_) {
      FinishLocked();
    } else if (!is_writing_ && !is_finished_ && written_ != service_.version_) {
      written_ = service_.version_;
      is_writing_ = true;
      message_ = service_.state_;
      StartWrite(&message_);
    }
  }

 private:
  void FinishLocked() {
    if (!is_finished_) {
      is_finished_ = true;
      Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the fake enclave stopped"));
    }
  }
  Service& service_;
  EnclaveState message_;
  uint64_t written_ = 0;
  bool is_writing_ = false;
  bool is_finished_ = false;
};

grpc::ServerUnaryReactor* FakeEnclave::Service::Infer(grpc::CallbackServerContext* context,
                                                      const v1::InferRequest* request, v1::InferResponse* response) {
  response->set_salt(name_);
  response->set_ciphertext(request->ciphertext());
  const absl::MutexLock lock(&mu_);
  ++num_infers_;
  last_ciphertext_ = request->ciphertext();
  last_time_left_ =
      std::chrono::duration_cast<std::chrono::milliseconds>(context->deadline() - std::chrono::system_clock::now());
  last_trace_parent_ = rpc::TraceParentOf(*context);
  if (!is_holding_ || is_stopped_) {
    return Finish(context, failure_);
  }
  auto* call = new HeldCall(*this);
  held_.push_back(call);
  return call;
}

grpc::ServerWriteReactor<EnclaveState>* FakeEnclave::Service::Watch(grpc::CallbackServerContext* /*context*/,
                                                                    const internal::v1::WatchRequest* /*request*/) {
  auto* stream = new Stream(*this);
  const absl::MutexLock lock(&mu_);
  streams_.insert(stream);
  stream->AdvanceLocked();
  return stream;
}

void FakeEnclave::Service::Report(const EnclaveState& state) {
  const absl::MutexLock lock(&mu_);
  state_ = state;
  ++version_;
  for (Stream* stream : streams_) {
    stream->AdvanceLocked();
  }
}

void FakeEnclave::Service::Hold() {
  const absl::MutexLock lock(&mu_);
  is_holding_ = true;
}

void FakeEnclave::Service::Let() {
  std::list<HeldCall*> held;
  grpc::Status status;
  {
    const absl::MutexLock lock(&mu_);
    is_holding_ = false;
    held.swap(held_);
    status = rpc::ToGrpcStatus(failure_);
  }
  for (HeldCall* call : held) {
    call->Finish(status);
  }
}

bool FakeEnclave::Service::LetOne() {
  HeldCall* call = nullptr;
  {
    const absl::MutexLock lock(&mu_);
    if (held_.empty()) {
      return false;
    }
    call = held_.front();
    held_.pop_front();
  }
  call->Finish(grpc::Status::OK);
  return true;
}

void FakeEnclave::Service::Stop() {
  const absl::MutexLock lock(&mu_);
  is_stopped_ = true;
  for (Stream* stream : streams_) {
    stream->AdvanceLocked();
  }
}

struct FakeEnclave::Impl {
  std::unique_ptr<Service> service;
  std::unique_ptr<rpc::Server> server;  // last: stops before the service goes
};

FakeEnclave::FakeEnclave() : impl_(std::make_unique<Impl>()) {}

absl::StatusOr<std::unique_ptr<FakeEnclave>> FakeEnclave::Start(const std::string& name, const rpc::Address& address,
                                                                const EnclaveState& state) {
  std::unique_ptr<FakeEnclave> out(new FakeEnclave());
  out->impl_->service = std::make_unique<Service>(name, state);
  rpc::ServerOptions options;
  options.listeners = {{address, {}}};
  ASSIGN_OR_RETURN(out->impl_->server, rpc::Server::Start(options, {out->impl_->service.get()}));
  return out;
}

FakeEnclave::~FakeEnclave() {
  impl_->service->Stop();
  if (impl_->server != nullptr) {
    impl_->server->Shutdown(std::chrono::milliseconds(0));
  }
}

void FakeEnclave::Report(const EnclaveState& state) { impl_->service->Report(state); }
void FakeEnclave::Hold() { impl_->service->Hold(); }
void FakeEnclave::Let() { impl_->service->Let(); }
void FakeEnclave::FailWith(const absl::Status& status) { impl_->service->FailWith(status); }
void FakeEnclave::AwaitHeld(size_t n) { impl_->service->AwaitHeld(n); }
void FakeEnclave::AwaitCancelled(size_t n) { impl_->service->AwaitCancelled(n); }
size_t FakeEnclave::num_infers() const { return impl_->service->num_infers(); }
bool FakeEnclave::LetOne() { return impl_->service->LetOne(); }
std::string FakeEnclave::last_ciphertext() const { return impl_->service->last_ciphertext(); }
std::string FakeEnclave::last_trace_parent() const { return impl_->service->last_trace_parent(); }
std::chrono::milliseconds FakeEnclave::last_time_left() const { return impl_->service->last_time_left(); }

}  // namespace shoji::testing
