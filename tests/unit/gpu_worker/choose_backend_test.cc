// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/choose_backend.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu_worker/cuda/cuda_backend.h"
#include "lib/base/clock.h"

namespace shoji::accelerator {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ChooseBackendTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Backend>> Choose(const Config& config) {
    return ChooseBackend(config, log_, clock_, [] {});
  }

  const bool has_device_ = CreateCudaBackend({}).ok();
  RealClock clock_;
  telemetry::Logger log_{"test", {.level = telemetry::LogLevel::kError}, clock_};
};

TEST_F(ChooseBackendTest, TheCpuIsTakenWhenItIsAskedFor) {
  Config config;
  config.backend = BackendChoice::kCpu;
  const auto backend = Choose(config);
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_THAT((*backend)->name(), StartsWith("cpu/"));
}

TEST_F(ChooseBackendTest, AutoTakesADeviceThatWorksElseTheCpu) {
  const auto backend = Choose({});
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_THAT((*backend)->name(), StartsWith(has_device_ ? "cuda/" : "cpu/"));
  Config config;
  config.device = 1000;  // nobody has as many
  const auto without = Choose(config);
  ASSERT_TRUE(without.ok()) << without.status();
  EXPECT_THAT((*without)->name(), StartsWith("cpu/"));
}

TEST_F(ChooseBackendTest, CudaWithoutADeviceIsRefusedWithWhatToDo) {
  Config config;
  config.backend = BackendChoice::kCuda;
  config.device = 1000;
  const absl::Status status = Choose(config).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()),
              ::testing::AnyOf(HasSubstr("compute.backend to cpu"), HasSubstr("(compute.device)")));
  config.device = 0;
  EXPECT_EQ(Choose(config).ok(), has_device_);
}

}  // namespace
}  // namespace shoji::accelerator
