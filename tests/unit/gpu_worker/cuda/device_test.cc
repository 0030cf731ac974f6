// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/device.h"

#include <cstdlib>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/bytes.h"
#include "tests/unit/gpu_worker/cuda/device_fixture.h"
#include "tests/unit/gpu_worker/cuda/failing_kernel.h"

namespace shoji::accelerator {
namespace {

using testing::DeviceTest;
using ::testing::HasSubstr;

std::string TextOf(const absl::Status& status) { return std::string(status.message()); }

TEST(DeviceOpenTest, ADeviceThatIsNotThereIsRefusedWithWhatToDo) {
  const absl::Status status = Device::Open({.ordinal = 1000}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(TextOf(status), ::testing::AnyOf(HasSubstr("compute.device"), HasSubstr("compute.backend")));
}

TEST_F(DeviceTest, BytesComeBackAsTheyWent) {
  constexpr size_t kMiB = size_t{1} << 20;
  const auto stream = device().Lend();
  ASSERT_TRUE(stream.ok()) << stream.status();
  uint32_t next = 1;
  for (const size_t size : {size_t{0}, size_t{1}, kMiB - 1, kMiB, kMiB + 1, 2 * kMiB, 5 * kMiB + 17}) {
    const auto memory = (*stream)->Allocate(size);
    ASSERT_TRUE(memory.ok()) << memory.status();
    EXPECT_EQ(memory->size(), size);
    Bytes sent(size);
    for (uint8_t& byte : sent) {
      byte = static_cast<uint8_t>((next = next * 1664525 + 1013904223) >> 24);
    }
    Bytes staged = sent;
    ASSERT_TRUE((*stream)->Upload(staged, memory->data()).ok());
    staged.assign(size, 0);  // may change at once
    Bytes received(size);
    ASSERT_TRUE((*stream)->Download(memory->data(), received).ok());
    EXPECT_EQ(received, sent) << size;
  }
}

TEST_F(DeviceTest, MemoryIsCountedUntilItIsFreed) {
  const auto stream = device().Lend();
  ASSERT_TRUE(stream.ok()) << stream.status();
  {
    auto first = (*stream)->Allocate(1000);
    ASSERT_TRUE(first.ok()) << first.status();
    auto second = (*stream)->Allocate(500);
    ASSERT_TRUE(second.ok()) << second.status();
    EXPECT_EQ(device().memory_in_use(), 1500U);
    *second = *std::move(first);
    EXPECT_EQ(device().memory_in_use(), 1000U);
  }
  EXPECT_EQ(device().memory_in_use(), 0U);
}

TEST_F(DeviceTest, MemoryBeyondTheBoundIsRefusedWithoutSayingWhatOthersUse) {
  const auto bounded = Device::Open({.max_memory = 1000});
  ASSERT_TRUE(bounded.ok()) << bounded.status();
  const auto stream = (*bounded)->Lend();
  ASSERT_TRUE(stream.ok()) << stream.status();
  const auto most = (*stream)->Allocate(900);
  ASSERT_TRUE(most.ok()) << most.status();
  const absl::Status status = (*stream)->Allocate(101).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(TextOf(status), ::testing::AllOf(HasSubstr("101 bytes"), ::testing::Not(HasSubstr("900"))));
  EXPECT_TRUE((*stream)->Allocate(100).ok());
}

TEST_F(DeviceTest, MemoryThatTheDeviceDoesNotHaveIsRefusedAndItGoesOn) {
  const auto unbounded = Device::Open({.max_memory = uint64_t{1} << 62});
  ASSERT_TRUE(unbounded.ok()) << unbounded.status();
  const auto stream = (*unbounded)->Lend();
  ASSERT_TRUE(stream.ok()) << stream.status();
  const absl::Status status = (*stream)->Allocate(size_t{1} << 44).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ((*unbounded)->memory_in_use(), 0U);
  EXPECT_TRUE((*stream)->Allocate(1000).ok());
}

TEST_F(DeviceTest, ACallThatWasRefusedIsAnInternalErrorAndTheDeviceGoesOn) {
  const absl::Status status = device().Check(cudaErrorInvalidValue, "trying this");
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  EXPECT_THAT(TextOf(status), HasSubstr("while trying this: invalid argument"));
  EXPECT_TRUE(device().Lend().ok());
}

TEST_F(DeviceTest, ALaunchThatWasRefusedIsAnInternalErrorAndTheDeviceGoesOn) {
  const auto stream = device().Lend();
  ASSERT_TRUE(stream.ok()) << stream.status();
  const absl::Status status = device().Check(testing::LaunchRefusedKernel((*stream)->get()), "launching");
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  for (const cudaError_t error : {cudaErrorLaunchOutOfResources, cudaErrorNoKernelImageForDevice,
                                  cudaErrorInvalidConfiguration, cudaErrorInvalidDeviceFunction}) {
    EXPECT_TRUE(absl::IsInternal(device().Check(error, "launching"))) << cudaGetErrorName(error);
  }
  EXPECT_TRUE((*stream)->Synchronize().ok());
  EXPECT_TRUE(device().Lend().ok());
}

TEST_F(DeviceTest, PaceAsksEachTimeAndKeepsWhatItIsTold) {
  const auto stream = device().Lend();
  ASSERT_TRUE(stream.ok()) << stream.status();
  int asked = 0;
  const StopCheck stop = [&asked] { return ++asked < 4 ? absl::OkStatus() : absl::CancelledError("enough"); };
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE((*stream)->Pace(stop).ok());
  }
  EXPECT_TRUE(absl::IsCancelled((*stream)->Pace(stop)));
  EXPECT_TRUE((*stream)->Pace({}).ok());
}

// In a process of its own, which can never use the device again.
void LoseTheDevice() {
  int told = 0;
  auto device =
      Device::Open({.on_lost = [&told](const absl::Status& why) { told += absl::IsUnavailable(why) ? 1 : 100; }});
  bool as_expected = device.ok();
  {
    auto stream = (*device)->Lend();
    auto memory = (*stream)->Allocate(100);
    as_expected = as_expected && memory.ok();
    as_expected = as_expected && (*device)->Check(testing::LaunchFailingKernel((*stream)->get()), "starting").ok();
    as_expected = as_expected && absl::IsUnavailable((*stream)->Synchronize());
    as_expected = as_expected && absl::IsUnavailable((*stream)->Synchronize());
  }
  as_expected = as_expected && absl::IsUnavailable((*device)->Lend().status()) && told == 1;
  as_expected = as_expected && (*device)->memory_in_use() == 100;  // it could not be freed
  device->reset();
  std::exit(as_expected ? 0 : 1);
}

TEST_F(DeviceTest, AKernelThatFailsMakesTheDeviceUnavailableAndSaysSoOnce) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(LoseTheDevice(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace shoji::accelerator
