// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/cuda_backend.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/gpu_worker/linear_layers.h"

namespace shoji::accelerator {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// With a device it works and without it says what to do; a build knows only at run time which it is.
TEST(CudaBackendTest, RunsLinearLayersOrSaysWhatIsMissing) {
  const auto backend = CreateCudaBackend({});
  if (!backend.ok()) {
    EXPECT_EQ(absl::IsUnimplemented(backend.status()), !BuiltWithCuda()) << backend.status();
    EXPECT_EQ(absl::IsFailedPrecondition(backend.status()), BuiltWithCuda()) << backend.status();
    EXPECT_THAT(std::string(backend.status().message()), HasSubstr("compute.backend"));
    return;
  }
  EXPECT_THAT((*backend)->name(), StartsWith("cuda/"));
  const absl::StatusOr<RingLayer> layer = ParseRingLayer(AsBytes(testing::SmallLayer().SerializeAsString()));
  ASSERT_TRUE(layer.ok()) << layer.status();
  const auto model = (*backend)->LoadLinear(*layer);
  ASSERT_TRUE(model.ok()) << model.status();
  const Bytes limbs = testing::RandomLimbs(*layer, 7);
  Bytes words((*model)->output_shape().num_elements(), 0xAA);
  ASSERT_TRUE((*model)->Run(limbs, words, {}).ok());
  EXPECT_EQ(words, testing::ReferenceWords(*layer, limbs));
}

TEST(CudaBackendTest, RunsOpenSegmentsOnItsDevice) {
  absl::Status why;
  const auto backend = CreateCudaBackend({.on_open_segments_on_cpu = [&why](const absl::Status& told) { why = told; }});
  if (!backend.ok()) {
    GTEST_SKIP() << "no CUDA device: " << backend.status().message();
  }
  EXPECT_TRUE(why.ok()) << why;
  EXPECT_THAT((*backend)->name(), ::testing::Not(HasSubstr("on the CPU")));
}

TEST(CudaBackendTest, RefusesADeviceThatIsNotThere) { EXPECT_FALSE(CreateCudaBackend({.device = 1000}).ok()); }

}  // namespace
}  // namespace shoji::accelerator
