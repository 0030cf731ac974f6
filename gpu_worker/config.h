// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "gpu_worker/tenant_table.h"
#include "lib/config/fixed_settings.h"
#include "lib/config/node.h"
#include "lib/kernels/ring/linear.h"
#include "lib/metrics/exporter.h"
#include "lib/rpc/endpoint.h"
#include "lib/telemetry/log.h"

namespace shoji::accelerator {

enum class BackendChoice : uint8_t {
  kAuto,  // CUDA where this program has it and the device works, else the CPU
  kCpu,
  kCuda,
};

// What config/accelerator.yaml says; that file documents each key.
struct Config {
  rpc::Endpoint listen;
  BackendChoice backend = BackendChoice::kAuto;
  int device = 0;  // of CUDA
  size_t num_workers = 1;
  int threads_per_run = 1;
  kernels::ring::Isa kernel = kernels::ring::Isa::kPortable;  // of this CPU
  size_t max_queue = 256;
  size_t max_message_bytes = size_t{64} << 20;
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(30);
  TenantTable::Options tenants;
  int64_t max_model_memory = int64_t{2} << 30;
  uint64_t max_model_macs = 1'000'000'000'000;
  metrics::Options metrics;
  telemetry::LogOptions log;
  config::FixedSettings fixed;
};

// Errors name file, line and key.
absl::StatusOr<Config> ReadConfig(const config::Document& document);

}  // namespace shoji::accelerator
