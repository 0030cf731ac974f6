// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "grpc/health/v1/health.pb.h"

namespace shoji::server {

// What grpc.health.v1.Health says, of the whole server ("") and of named services, which share one state: NOT_SERVING
// at first. Knows no calls. Thread-safe.
class HealthBoard {
 public:
  using Status = grpc::health::v1::HealthCheckResponse::ServingStatus;

  // One Watch stream. Its functions are called under the board's lock, from any thread.
  class Watcher {
   public:
    Watcher() = default;
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;
    virtual ~Watcher() = default;
    // Start to write `status`; Written says when that is done. Not called again before.
    virtual void OnHealth(Status status) = 0;
    // End the stream. Nothing is called after this.
    virtual void OnEnd(const absl::Status& status) = 0;

   private:
    friend class HealthBoard;
    enum class State : unsigned char { kNew, kResting, kWriting, kEnded };
    State state_ = State::kNew;
    bool is_known_service_ = true;
    Status written_ = grpc::health::v1::HealthCheckResponse::UNKNOWN;
  };

  explicit HealthBoard(const std::vector<std::string>& service_names);

  void SetServing(bool is_serving);
  // Says NOT_SERVING for good and ends every stream.
  void Shutdown();

  // NOT_FOUND for a service it does not know.
  absl::StatusOr<Status> Check(const std::string& service) const;
  // Tells `watcher` every change from now on, beginning with the present status. It may be ended at once.
  void Watch(Watcher& watcher, const std::string& service);
  void Written(Watcher& watcher);
  // Ends `watcher` with `status`, unless that has happened. Nothing is called after this.
  void Leave(Watcher& watcher, const absl::Status& status);

 private:
  void Advance(Watcher& watcher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void End(Watcher& watcher, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AdvanceAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  std::set<std::string> names_;  // never changes
  mutable absl::Mutex mu_;
  bool is_serving_ ABSL_GUARDED_BY(mu_) = false;
  bool is_shut_down_ ABSL_GUARDED_BY(mu_) = false;
  std::set<Watcher*> watchers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::server
