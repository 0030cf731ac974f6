// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The gRPC adapter of TenantTable: one Attach stream is one tenant.
#pragma once

#include <memory>
#include <string>

#include "gpu_worker/tenant_table.h"
#include "lib/base/clock.h"

namespace grpc {
class Service;
}

namespace shoji::accelerator {

// Thread-safe. Outlives the gRPC server that it is registered with.
class AcceleratorService {
 public:
  struct Options {
    std::string software_version;
    std::string backend;
  };

  static std::unique_ptr<AcceleratorService> Create(Options options, TenantTable& tenants);
  AcceleratorService(const AcceleratorService&) = delete;
  AcceleratorService& operator=(const AcceleratorService&) = delete;
  virtual ~AcceleratorService() = default;

  virtual grpc::Service& service() = 0;
  // Refuses new tenants and new work; each stream ends with UNAVAILABLE once what it asked for is answered.
  virtual void Drain() = 0;
  // Whether every stream has ended before `deadline`.
  virtual bool WaitUntilEmpty(SteadyTime deadline) = 0;

 protected:
  AcceleratorService() = default;
};

}  // namespace shoji::accelerator
