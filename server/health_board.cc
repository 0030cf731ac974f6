// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/health_board.h"

#include "lib/base/reason.h"

namespace shoji::server {
namespace {

using grpc::health::v1::HealthCheckResponse;

constexpr size_t kMaxWatchers = 1000;

HealthBoard::Status StatusOf(bool is_serving) {
  return is_serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

}  // namespace

HealthBoard::HealthBoard(const std::vector<std::string>& service_names)
    : names_(service_names.begin(), service_names.end()) {
  names_.insert("");
}

void HealthBoard::SetServing(bool is_serving) {
  const absl::MutexLock lock(&mu_);
  if (!is_shut_down_) {
    is_serving_ = is_serving;
    AdvanceAll();
  }
}

void HealthBoard::Shutdown() {
  const absl::MutexLock lock(&mu_);
  is_serving_ = false;
  is_shut_down_ = true;
  AdvanceAll();
}

absl::StatusOr<HealthBoard::Status> HealthBoard::Check(const std::string& service) const {
  if (!names_.contains(service)) {
    return absl::NotFoundError("no such service");
  }
  const absl::MutexLock lock(&mu_);
  return StatusOf(is_serving_);
}

void HealthBoard::Watch(Watcher& watcher, const std::string& service) {
  const absl::MutexLock lock(&mu_);
  watcher.is_known_service_ = names_.contains(service);
  watchers_.insert(&watcher);
  if (watchers_.size() > kMaxWatchers) {
    End(watcher, absl::ResourceExhaustedError("too many watchers"));
  } else {
    Advance(watcher);
  }
}

void HealthBoard::Written(Watcher& watcher) {
  const absl::MutexLock lock(&mu_);
  if (watcher.state_ == Watcher::State::kWriting) {
    watcher.state_ = Watcher::State::kResting;
    Advance(watcher);
  }
}

void HealthBoard::Leave(Watcher& watcher, const absl::Status& status) {
  const absl::MutexLock lock(&mu_);
  if (watcher.state_ != Watcher::State::kEnded) {
    End(watcher, status);
  }
}

void HealthBoard::Advance(Watcher& watcher) {
  if (watcher.state_ == Watcher::State::kWriting || watcher.state_ == Watcher::State::kEnded) {
    return;
  }
  if (is_shut_down_) {
    End(watcher, absl::UnavailableError("shutting down"));
    return;
  }
  const Status wanted = watcher.is_known_service_ ? StatusOf(is_serving_) : HealthCheckResponse::SERVICE_UNKNOWN;
  if (watcher.state_ == Watcher::State::kNew || watcher.written_ != wanted) {
    watcher.written_ = wanted;
    watcher.state_ = Watcher::State::kWriting;
    watcher.OnHealth(wanted);
  }
}

void HealthBoard::End(Watcher& watcher, const absl::Status& status) {
  watcher.state_ = Watcher::State::kEnded;
  watchers_.erase(&watcher);
  watcher.OnEnd(status);
}

void HealthBoard::AdvanceAll() {
  const std::set<Watcher*> watchers = watchers_;  // one that ends leaves the set
  for (Watcher* watcher : watchers) {
    Advance(*watcher);
  }
}

}  // namespace shoji::server
