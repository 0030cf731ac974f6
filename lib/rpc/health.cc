// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/health.h"

#include <set>

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "absl/synchronization/mutex.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace shoji::rpc {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr size_t kMaxWatchers = 1000;

}  // namespace

class HealthService::Impl final : public grpc::health::v1::Health::CallbackService {
 public:
  explicit Impl(const std::vector<std::string>& names) : names_(names.begin(), names.end()) { names_.insert(""); }

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context, const HealthCheckRequest* request,
                                  HealthCheckResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    if (!names_.contains(request->service())) {
      reactor->Finish({grpc::StatusCode::NOT_FOUND, "no such service"});
      return reactor;
    }
    absl::MutexLock lock(&mu_);
    response->set_status(status_);
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerWriteReactor<HealthCheckResponse>* Watch(grpc::CallbackServerContext* context,
                                                       const HealthCheckRequest* request) override;

  void Set(Health health) {
    SetStatus(health == Health::kServing ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING);
  }
  void Shutdown();

 private:
  class Watcher;

  void SetStatus(HealthCheckResponse::ServingStatus status);

  std::set<std::string> names_;  // never changes
  absl::Mutex mu_;
  bool is_shut_down_ ABSL_GUARDED_BY(mu_) = false;
  HealthCheckResponse::ServingStatus status_ ABSL_GUARDED_BY(mu_) = HealthCheckResponse::NOT_SERVING;
  std::set<Watcher*> watchers_ ABSL_GUARDED_BY(mu_);
};

// One Watch stream: writes the newest status whenever it differs from the last one written. Its state is guarded by the
// service's mutex; it is in `watchers_` until gRPC says it is done, and deletes itself then.
class HealthService::Impl::Watcher final : public grpc::ServerWriteReactor<HealthCheckResponse> {
 public:
  Watcher(Impl& service, HealthCheckResponse::ServingStatus fixed) : service_(service), fixed_(fixed) {}

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&service_.mu_);
    is_writing_ = false;
    if (!ok) {
      FinishLocked(grpc::Status(grpc::StatusCode::CANCELLED, "the stream broke"));
      return;
    }
    AdvanceLocked();
  }
  void OnCancel() override {
    absl::MutexLock lock(&service_.mu_);
    FinishLocked(grpc::Status(grpc::StatusCode::CANCELLED, "cancelled"));
  }
  void OnDone() override {
    {
      absl::MutexLock lock(&service_.mu_);
      service_.watchers_.erase(this);
    }
    delete this;
  }

  // Writes or finishes when there is something to do. The caller holds service_.mu_.
  void AdvanceLocked() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (is_writing_ || is_finished_) {
      return;
    }
    if (service_.is_shut_down_) {
      FinishLocked(grpc::Status(grpc::StatusCode::UNAVAILABLE, "shutting down"));
      return;
    }
    const auto wanted = fixed_ == HealthCheckResponse::UNKNOWN ? service_.status_ : fixed_;
    if (!is_written_ || response_.status() != wanted) {
      response_.set_status(wanted);
      is_written_ = true;
      is_writing_ = true;
      StartWrite(&response_);
    }
  }
  void FinishLocked(const grpc::Status& status) {
    if (!is_finished_) {
      is_finished_ = true;
      Finish(status);
    }
  }

 private:
  Impl& service_;
  const HealthCheckResponse::ServingStatus fixed_;  // UNKNOWN: follow the service
  HealthCheckResponse response_;
  bool is_written_ = false;
  bool is_writing_ = false;
  bool is_finished_ = false;
};

grpc::ServerWriteReactor<HealthCheckResponse>* HealthService::Impl::Watch(grpc::CallbackServerContext* /*context*/,
                                                                          const HealthCheckRequest* request) {
  const bool is_known = names_.contains(request->service());
  auto* watcher = new Watcher(*this, is_known ? HealthCheckResponse::UNKNOWN : HealthCheckResponse::SERVICE_UNKNOWN);
  absl::MutexLock lock(&mu_);
  watchers_.insert(watcher);
  if (watchers_.size() > kMaxWatchers) {
    watcher->FinishLocked(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many watchers"));
  } else {
    watcher->AdvanceLocked();
  }
  return watcher;
}

void HealthService::Impl::SetStatus(HealthCheckResponse::ServingStatus status) {
  absl::MutexLock lock(&mu_);
  if (is_shut_down_) {
    return;
  }
  status_ = status;
  for (Watcher* watcher : watchers_) {
    watcher->AdvanceLocked();
  }
}

void HealthService::Impl::Shutdown() {
  absl::MutexLock lock(&mu_);
  status_ = HealthCheckResponse::NOT_SERVING;
  is_shut_down_ = true;
  for (Watcher* watcher : watchers_) {
    watcher->AdvanceLocked();
  }
}

HealthService::HealthService(const std::vector<std::string>& service_names)
    : impl_(std::make_unique<Impl>(service_names)) {}
HealthService::~HealthService() = default;
grpc::Service* HealthService::service() { return impl_.get(); }
void HealthService::Set(Health health) { impl_->Set(health); }
void HealthService::Shutdown() { impl_->Shutdown(); }

}  // namespace shoji::rpc
