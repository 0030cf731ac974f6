// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Tests on CUDA device 0, skipped where there is none. For tests only.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "gpu_worker/cuda/device.h"

namespace shoji::accelerator::testing {

class DeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::unique_ptr<Device>> device = Device::Open({});
    if (!device.ok()) {
      GTEST_SKIP() << "needs a CUDA device: " << device.status().message();
    }
    device_ = *std::move(device);
  }

  Device& device() { return *device_; }

 private:
  std::unique_ptr<Device> device_;
};

}  // namespace shoji::accelerator::testing
