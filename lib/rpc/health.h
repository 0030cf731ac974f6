// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <memory>
#include <string>
#include <vector>

namespace grpc {
class Service;
}

namespace shoji::rpc {

enum class Health : unsigned char { kNotServing, kServing };

// grpc.health.v1.Health (Check and Watch) for the whole server ("") and for named services, which share one state. It
// starts as NOT_SERVING. Thread-safe.
class HealthService {
 public:
  explicit HealthService(const std::vector<std::string>& service_names);
  HealthService(const HealthService&) = delete;
  HealthService& operator=(const HealthService&) = delete;
  ~HealthService();

  // For Server::Start.
  grpc::Service* service();

  void Set(Health health);
  // Says NOT_SERVING for good and ends every Watch, so that a server can shut down without waiting for them.
  void Shutdown();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoji::rpc
