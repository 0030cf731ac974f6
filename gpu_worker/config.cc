// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/config.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "gpu_worker/cuda/cuda_backend.h"
#include "lib/base/status_macros.h"

namespace shoji::accelerator {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 40;
constexpr uint64_t kMaxMacs = 1'000'000'000'000'000'000;
// gRPC's own bound on a message.
constexpr uint64_t kMaxMessageBytes = (uint64_t{1} << 31) - 1;

// The kernel of linear layers: one that this CPU has.
absl::Status ReadKernel(const config::Fields& compute, Config& config) {
  const std::optional<config::Node> node = compute.Find("kernel");
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  using kernels::ring::Isa;
  const std::pair<std::string_view, std::optional<Isa>> names[] = {
      {"auto", std::nullopt}, {"portable", Isa::kPortable}, {"avx2", Isa::kAvx2}, {"avx512_vnni", Isa::kAvx512Vnni}};
  ASSIGN_OR_RETURN(const std::optional<Isa> isa, node->Enum<std::optional<Isa>>(names));
  config.kernel = isa.value_or(config.kernel);
  if (!kernels::ring::IsSupported(config.kernel)) {
    return node->Error("this CPU cannot run " + std::string(kernels::ring::NameOf(config.kernel)) +
                       "; its fastest is " + kernels::ring::NameOf(kernels::ring::BestIsa()));
  }
  return absl::OkStatus();
}

constexpr std::pair<std::string_view, BackendChoice> kBackends[] = {
    {"auto", BackendChoice::kAuto}, {"cpu", BackendChoice::kCpu}, {"cuda", BackendChoice::kCuda}};

absl::Status ReadBackend(const config::Fields& compute, Config& config) {
  ASSIGN_OR_RETURN(const uint64_t device, compute.Uint64Or("device", 0, 0, 1023));
  config.device = static_cast<int>(device);
  const std::optional<config::Node> node = compute.Find("backend");
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(config.backend, node->Enum<BackendChoice>(kBackends));
  if (config.backend == BackendChoice::kCuda && !BuiltWithCuda()) {
    return node->Error(
        "this shoji-accelerator was built without CUDA; build it where a CUDA toolkit is installed, or "
        "say cpu");
  }
  return absl::OkStatus();
}

absl::Status ReadCompute(const config::Fields& top, Config& config) {
  config.kernel = kernels::ring::BestIsa();
  config.num_workers = std::max(1U, std::thread::hardware_concurrency());
  const std::optional<config::Node> node = top.Find("compute");
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const config::Fields fields, node->Map({"backend", "device", "workers", "threads", "kernel"}));
  RETURN_IF_ERROR(ReadBackend(fields, config));
  ASSIGN_OR_RETURN(const uint64_t workers, fields.Uint64Or("workers", 0, 0, 1024));
  if (workers != 0) {
    config.num_workers = workers;
  }
  ASSIGN_OR_RETURN(const uint64_t threads, fields.Uint64Or("threads", 1, 1, 1024));
  config.threads_per_run = static_cast<int>(threads);
  return ReadKernel(fields, config);
}

absl::Status ReadLimits(const config::Fields& top, Config& config) {
  const std::optional<config::Node> node = top.Find("limits");
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const config::Fields fields, node->Map({"queue", "max_message", "drain_timeout"}));
  ASSIGN_OR_RETURN(config.max_queue, fields.Uint64Or("queue", config.max_queue, 1, 1'000'000));
  // Not under 2 MiB: the enclave uploads in pieces of 1 MiB.
  ASSIGN_OR_RETURN(config.max_message_bytes,
                   fields.ByteSizeOr("max_message", config.max_message_bytes, uint64_t{2} << 20, kMaxMessageBytes));
  ASSIGN_OR_RETURN(config.drain_timeout, fields.DurationOr("drain_timeout", config.drain_timeout));
  return absl::OkStatus();
}

absl::Status ReadQuotas(const config::Fields& top, Config& config) {
  const std::optional<config::Node> node = top.Find("quotas");
  if (!node.has_value()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const config::Fields fields, node->Map({"tenants", "models", "model_bytes", "memory", "model_memory",
                                                           "model_macs", "executions", "execution_bytes"}));
  TenantQuotas& quotas = config.tenants.quotas;
  ASSIGN_OR_RETURN(config.tenants.max_tenants, fields.Uint64Or("tenants", config.tenants.max_tenants, 1, 10'000));
  ASSIGN_OR_RETURN(quotas.num_models, fields.Uint64Or("models", quotas.num_models, 1, 100'000));
  ASSIGN_OR_RETURN(quotas.model_bytes, fields.ByteSizeOr("model_bytes", quotas.model_bytes, 1, kMaxBytes));
  ASSIGN_OR_RETURN(quotas.memory, fields.ByteSizeOr("memory", quotas.memory, 1, kMaxBytes));
  ASSIGN_OR_RETURN(const uint64_t memory, fields.ByteSizeOr("model_memory", uint64_t{2} << 30, 1, kMaxBytes));
  config.max_model_memory = static_cast<int64_t>(memory);
  ASSIGN_OR_RETURN(config.max_model_macs, fields.Uint64Or("model_macs", config.max_model_macs, 1, kMaxMacs));
  ASSIGN_OR_RETURN(quotas.num_executions, fields.Uint64Or("executions", quotas.num_executions, 1, 100'000));
  ASSIGN_OR_RETURN(quotas.execution_bytes, fields.ByteSizeOr("execution_bytes", quotas.execution_bytes, 1, kMaxBytes));
  return absl::OkStatus();
}

// Every setting that a reload cannot change.
void ReadFixed(const config::Fields& top, Config& config) {
  config::FixedSettings& fixed = config.fixed;
  fixed.Add(top, "listen", rpc::TextOf(config.listen));
  const auto* const backend = std::find_if(std::begin(kBackends), std::end(kBackends),
                                           [&config](const auto& named) { return named.second == config.backend; });
  fixed.Add(top, "compute.backend", std::string(backend->first));
  fixed.Add(top, "compute.device", std::to_string(config.device));
  fixed.Add(top, "compute.workers", std::to_string(config.num_workers));
  fixed.Add(top, "compute.threads", std::to_string(config.threads_per_run));
  fixed.Add(top, "compute.kernel", std::string(kernels::ring::NameOf(config.kernel)));
  fixed.Add(top, "limits.max_message", std::to_string(config.max_message_bytes));
  fixed.Add(top, "quotas.model_memory", std::to_string(config.max_model_memory));
  fixed.Add(top, "quotas.model_macs", std::to_string(config.max_model_macs));
  const std::optional<rpc::Address>& metrics = config.metrics.address;
  fixed.Add(top, "metrics.address", metrics.has_value() ? metrics->ToString() : "");
  fixed.Add(top, "log.format", std::to_string(static_cast<int>(config.log.format)));
}

}  // namespace

absl::StatusOr<Config> ReadConfig(const config::Document& document) {
  Config config;
  ASSIGN_OR_RETURN(const config::Fields top,
                   document.root().Map({"listen", "compute", "limits", "quotas", "metrics", "log"}));
  ASSIGN_OR_RETURN(const config::Node listen, top.Require("listen"));
  ASSIGN_OR_RETURN(const config::Fields listen_fields, listen.Map({"address", "tls", "insecure_plaintext"}));
  ASSIGN_OR_RETURN(config.listen, rpc::ReadEndpoint(listen_fields, rpc::Role::kListen, rpc::Exposure::kInternal));
  RETURN_IF_ERROR(ReadCompute(top, config));
  RETURN_IF_ERROR(ReadLimits(top, config));
  RETURN_IF_ERROR(ReadQuotas(top, config));
  config.tenants.quotas.message_bytes = config.max_message_bytes;
  ASSIGN_OR_RETURN(config.metrics, metrics::ReadOptions(top));
  ASSIGN_OR_RETURN(config.log, telemetry::ReadLogOptions(top));
  ReadFixed(top, config);
  return config;
}

}  // namespace shoji::accelerator
