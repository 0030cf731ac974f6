// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/config.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu_worker/cuda/cuda_backend.h"
#include "lib/base/status_macros.h"

namespace shoji::accelerator {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<Config> Read(const std::string& text) {
  ASSIGN_OR_RETURN(const config::Document document, config::Document::Parse(text, "a/accelerator.yaml"));
  return ReadConfig(document);
}
std::string ErrorOf(const std::string& text) { return std::string(Read(text).status().message()); }

TEST(AcceleratorConfigTest, TheShippedFileSaysWhatTheDefaultsAre) {
  const auto document = config::Document::Load(SHOJI_SOURCE_DIR "/config/accelerator.yaml");
  ASSERT_TRUE(document.ok()) << document.status();
  const absl::StatusOr<Config> shipped = ReadConfig(*document);
  ASSERT_TRUE(shipped.ok()) << shipped.status();
  const absl::StatusOr<Config> defaults = Read("listen: {address: 'unix:x'}");
  ASSERT_TRUE(defaults.ok()) << defaults.status();
  EXPECT_EQ(shipped->listen.address.path, SHOJI_SOURCE_DIR "/config/run/accelerator.sock");
  EXPECT_EQ(shipped->backend, defaults->backend);
  EXPECT_EQ(shipped->device, defaults->device);
  EXPECT_EQ(shipped->num_workers, defaults->num_workers);
  EXPECT_EQ(shipped->threads_per_run, defaults->threads_per_run);
  EXPECT_EQ(shipped->kernel, defaults->kernel);
  EXPECT_EQ(shipped->max_queue, defaults->max_queue);
  EXPECT_EQ(shipped->max_message_bytes, defaults->max_message_bytes);
  EXPECT_EQ(shipped->drain_timeout, defaults->drain_timeout);
  EXPECT_EQ(shipped->max_model_memory, defaults->max_model_memory);
  EXPECT_EQ(shipped->max_model_macs, defaults->max_model_macs);
  EXPECT_EQ(shipped->tenants.quotas.memory, defaults->tenants.quotas.memory);
  EXPECT_EQ(shipped->tenants.max_tenants, defaults->tenants.max_tenants);
  EXPECT_EQ(shipped->tenants.quotas.num_models, defaults->tenants.quotas.num_models);
  EXPECT_EQ(shipped->tenants.quotas.model_bytes, defaults->tenants.quotas.model_bytes);
  EXPECT_EQ(shipped->tenants.quotas.num_executions, defaults->tenants.quotas.num_executions);
  EXPECT_EQ(shipped->tenants.quotas.execution_bytes, defaults->tenants.quotas.execution_bytes);
}

TEST(AcceleratorConfigTest, TakesEveryValue) {
  const absl::StatusOr<Config> config = Read(
      "listen: {address: '127.0.0.1:0'}\n"
      "compute: {backend: cpu, device: 6, workers: 3, threads: 2, kernel: portable}\n"
      "limits: {queue: 5, max_message: 8MiB, drain_timeout: 4s}\n"
      "quotas: {tenants: 1, models: 2, model_bytes: 3MiB, memory: 7MiB, model_memory: 4MiB, model_macs: 8,\n"
      "         executions: 5, execution_bytes: 6MiB}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->backend, BackendChoice::kCpu);
  EXPECT_EQ(config->device, 6);
  EXPECT_EQ(config->num_workers, 3U);
  EXPECT_EQ(config->threads_per_run, 2);
  EXPECT_EQ(config->kernel, kernels::ring::Isa::kPortable);
  EXPECT_EQ(config->max_queue, 5U);
  EXPECT_EQ(config->max_message_bytes, 8U << 20);
  EXPECT_EQ(config->drain_timeout, std::chrono::seconds(4));
  EXPECT_EQ(config->tenants.max_tenants, 1U);
  EXPECT_EQ(config->tenants.quotas.num_models, 2U);
  EXPECT_EQ(config->tenants.quotas.model_bytes, 3U << 20);
  EXPECT_EQ(config->tenants.quotas.memory, 7U << 20);
  EXPECT_EQ(config->max_model_memory, 4 << 20);
  EXPECT_EQ(config->max_model_macs, 8U);
  EXPECT_EQ(config->tenants.quotas.num_executions, 5U);
  EXPECT_EQ(config->tenants.quotas.execution_bytes, 6U << 20);
  EXPECT_EQ(config->tenants.quotas.message_bytes, config->max_message_bytes);
}

TEST(AcceleratorConfigTest, NamesAnUnknownKeyWithFileAndLine) {
  EXPECT_THAT(ErrorOf("listen: {address: 'unix:x'}\nquotas:\n  modells: 3\n"),
              ::testing::AllOf(HasSubstr("accelerator.yaml:3"), HasSubstr("modells")));
}

TEST(AcceleratorConfigTest, RefusesPlaintextBeyondThisHost) {
  EXPECT_FALSE(Read("listen: {address: '0.0.0.0:9100'}").ok());
  EXPECT_FALSE(Read("listen: {address: '0.0.0.0:9100', insecure_plaintext: true}").ok());
}

TEST(AcceleratorConfigTest, RefusesWrongTypesAndValuesOutOfRange) {
  const std::string listen = "listen: {address: 'unix:x'}\n";
  EXPECT_THAT(ErrorOf(listen + "compute: {workers: many}"), HasSubstr("compute.workers"));
  EXPECT_THAT(ErrorOf(listen + "compute: {threads: 0}"), HasSubstr("compute.threads"));
  EXPECT_THAT(ErrorOf(listen + "limits: {queue: 0}"), HasSubstr("limits.queue"));
  EXPECT_THAT(ErrorOf(listen + "limits: {max_message: 1KiB}"), HasSubstr("limits.max_message"));
  EXPECT_THAT(ErrorOf(listen + "limits: {drain_timeout: 4}"), HasSubstr("limits.drain_timeout"));
  EXPECT_THAT(ErrorOf(listen + "quotas: {tenants: 0}"), HasSubstr("quotas.tenants"));
  EXPECT_THAT(ErrorOf(listen + "quotas: {model_macs: 0}"), HasSubstr("quotas.model_macs"));
  EXPECT_THAT(ErrorOf(listen + "quotas: 7"), HasSubstr("quotas"));
  EXPECT_THAT(ErrorOf("compute: {workers: 1}"), HasSubstr("listen"));
}

TEST(AcceleratorConfigTest, TheKernelIsTheFastestOfThisCpuUnlessNamed) {
  using kernels::ring::Isa;
  const std::string listen = "listen: {address: 'unix:x'}\n";
  for (const char* text : {"", "compute: {workers: 1}", "compute: {kernel: auto}"}) {
    const absl::StatusOr<Config> config = Read(listen + text);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->kernel, kernels::ring::BestIsa()) << text;
  }
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512Vnni}) {
    const std::string name = kernels::ring::NameOf(isa);
    const absl::StatusOr<Config> config = Read(listen + "compute:\n  kernel: " + name + "\n");
    if (kernels::ring::IsSupported(isa)) {
      ASSERT_TRUE(config.ok()) << config.status();
      EXPECT_EQ(config->kernel, isa);
    } else {
      EXPECT_THAT(std::string(config.status().message()),
                  ::testing::AllOf(HasSubstr("accelerator.yaml:3"), HasSubstr("compute.kernel"),
                                   HasSubstr("this CPU cannot run " + name)));
    }
  }
}

TEST(AcceleratorConfigTest, CudaIsRefusedByAProgramWithoutIt) {
  const std::string yaml = "listen: {address: 'unix:x'}\ncompute:\n  backend: cuda\n";
  const absl::StatusOr<Config> config = Read(yaml);
  if (BuiltWithCuda()) {
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->backend, BackendChoice::kCuda);
  } else {
    EXPECT_THAT(ErrorOf(yaml), ::testing::AllOf(HasSubstr("accelerator.yaml:3"), HasSubstr("compute.backend"),
                                                HasSubstr("was built without CUDA"), HasSubstr("say cpu")));
  }
}

TEST(AcceleratorConfigTest, AnUnknownBackendOrDeviceIsNamedWithFileLineAndKey) {
  EXPECT_THAT(ErrorOf("listen: {address: 'unix:x'}\ncompute:\n  backend: gpu\n"),
              ::testing::AllOf(HasSubstr("accelerator.yaml:3"), HasSubstr("compute.backend"), HasSubstr("cuda")));
  EXPECT_THAT(ErrorOf("listen: {address: 'unix:x'}\ncompute:\n  device: -1\n"),
              ::testing::AllOf(HasSubstr("accelerator.yaml:3"), HasSubstr("compute.device")));
}

TEST(AcceleratorConfigTest, AnUnknownKernelIsNamedWithFileLineAndKey) {
  EXPECT_THAT(ErrorOf("listen: {address: 'unix:x'}\ncompute:\n  workers: 1\n  kernel: avx9\n"),
              ::testing::AllOf(HasSubstr("accelerator.yaml:4"), HasSubstr("compute.kernel"), HasSubstr("portable")));
}

}  // namespace
}  // namespace shoji::accelerator
