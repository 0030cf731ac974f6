// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/choose_backend.h"

#include <chrono>
#include <string>
#include <utility>

#include "gpu_worker/cpu/cpu_backend.h"
#include "gpu_worker/cuda/cuda_backend.h"

namespace shoji::accelerator {
namespace {

// Tenants choose what they upload, but not how much is logged.
constexpr std::chrono::seconds kCpuModelInterval(1);

CpuBackendOptions CpuOptions(const Config& config) {
  return {.num_threads = config.threads_per_run,
          .isa = config.kernel,
          .max_model_memory = config.max_model_memory,
          .max_model_macs = config.max_model_macs};
}

absl::StatusOr<std::unique_ptr<Backend>> MakeCudaBackend(const Config& config, telemetry::Logger& log,
                                                         const Clock& clock, std::function<void()> on_lost) {
  auto limit = std::make_shared<telemetry::RateLimit>(clock, kCpuModelInterval);  // std::function wants copies
  return CreateCudaBackend(
      {.device = config.device,
       .cpu = CpuOptions(config),
       .on_cpu_model =
           [&log, limit](const absl::Status& why) {
             if (const auto held_back = limit->Admit(); held_back.has_value()) {
               log.Info("open_segment_on_cpu", {{"cause", std::string(why.message())}, {"held_back", *held_back}});
             }
           },
       .on_open_segments_on_cpu =
           [&log](const absl::Status& why) {
             log.Warning("open_segments_on_cpu", {{"cause", std::string(why.message())}});
           },
       .on_lost =
           [&log, on_lost = std::move(on_lost)](const absl::Status& why) {
             log.Error("device_lost", {{"cause", std::string(why.message())}});
             on_lost();
           }});
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> ChooseBackend(const Config& config, telemetry::Logger& log, const Clock& clock,
                                                       std::function<void()> on_lost) {
  std::string because = "compute.backend";
  if (config.backend != BackendChoice::kCpu) {
    absl::StatusOr<std::unique_ptr<Backend>> cuda = MakeCudaBackend(config, log, clock, std::move(on_lost));
    // Wrong bits are no reason to go on: whoever installed the device should know.
    if (cuda.ok() || config.backend == BackendChoice::kCuda || absl::IsInternal(cuda.status())) {
      if (cuda.ok()) {
        log.Info("backend", {{"name", (*cuda)->name()}, {"device", config.device}});
      }
      return cuda;
    }
    because = std::string(cuda.status().message());
  }
  std::unique_ptr<Backend> cpu = CreateCpuBackend(CpuOptions(config));
  log.Info("backend", {{"name", cpu->name()}, {"because", because}});
  return cpu;
}

}  // namespace shoji::accelerator
