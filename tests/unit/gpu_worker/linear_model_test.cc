// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu_worker/cpu/cpu_backend.h"
#include "tests/unit/gpu_worker/linear_layers.h"

namespace shoji::accelerator {
namespace {

namespace pb = internal::v1;
using kernels::ring::Isa;
using testing::ClearLayer;
using testing::DenseLayer;
using ::testing::HasSubstr;
using testing::RandomLimbs;
using testing::ReferenceWords;
using testing::SmallLayer;

RingLayer Parsed(const pb::LinearLayer& layer) {
  absl::StatusOr<RingLayer> parsed = ParseRingLayer(AsBytes(layer.SerializeAsString()));
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return *std::move(parsed);
}

// A square layer whose every output row takes more than one block's share of the work.
pb::LinearLayer HeavyLayer(uint64_t height) {
  pb::LinearLayer layer = DenseLayer(64);
  layer.set_in_channels(1024);
  layer.set_out_channels(1024);
  layer.set_in_height(height);
  layer.set_out_height(height);
  layer.set_weights(std::string(1024 * 1024, '\x81'));
  return layer;
}

TEST(LinearModelTest, EveryKernelOfThisCpuGivesTheExactWords) {
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512Vnni}) {
    if (!kernels::ring::IsSupported(isa)) {
      continue;
    }
    const auto backend = CreateCpuBackend({.isa = isa});
    EXPECT_EQ(backend->name(), std::string("cpu/") + kernels::ring::NameOf(isa));
    for (const pb::LinearLayer& message : {SmallLayer(), ClearLayer(), DenseLayer(9)}) {
      const RingLayer layer = Parsed(message);
      const auto model = backend->LoadLinear(layer);
      ASSERT_TRUE(model.ok()) << model.status();
      EXPECT_EQ((*model)->input_shape(), layer.InputShape());
      EXPECT_EQ((*model)->output_shape(), layer.OutputShape());
      const Bytes limbs = RandomLimbs(layer, 7);
      Bytes words((*model)->output_shape().num_elements(), 0xAA);
      ASSERT_TRUE((*model)->Run(limbs, words, {}).ok());
      EXPECT_EQ(words, ReferenceWords(layer, limbs)) << backend->name();
    }
  }
}

TEST(LinearModelTest, ThreadsInsideARunGiveTheSameWords) {
  const RingLayer layer = Parsed(HeavyLayer(7));
  const Bytes limbs = RandomLimbs(layer, 3);
  Bytes expected(layer.OutputShape().num_elements());
  const auto one = CreateCpuBackend({.isa = kernels::ring::BestIsa()})->LoadLinear(layer);
  ASSERT_TRUE(one.ok() && (*one)->Run(limbs, expected, {}).ok());
  const auto three = CreateCpuBackend({.num_threads = 3, .isa = kernels::ring::BestIsa()})->LoadLinear(layer);
  ASSERT_TRUE(three.ok()) << three.status();
  Bytes words(expected.size());
  ASSERT_TRUE((*three)->Run(limbs, words, {}).ok());
  EXPECT_EQ(words, expected);
}

TEST(LinearModelTest, RunsAtTheSameTimeDoNotMix) {
  const RingLayer layer = Parsed(SmallLayer());
  const auto model = CreateCpuBackend({.isa = kernels::ring::BestIsa()})->LoadLinear(layer);
  ASSERT_TRUE(model.ok()) << model.status();
  std::vector<std::jthread> threads;
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&, seed] {
      const Bytes limbs = RandomLimbs(layer, seed);
      const Bytes expected = ReferenceWords(layer, limbs);
      Bytes words(expected.size());
      for (int i = 0; i < 100; ++i) {
        ASSERT_TRUE((*model)->Run(limbs, words, {}).ok());
        ASSERT_EQ(words, expected);
      }
    });
  }
}

TEST(LinearModelTest, StopsBetweenRowsAndServesTheNextRun) {
  for (const int num_threads : {1, 2}) {
    const RingLayer layer = Parsed(HeavyLayer(6));
    const auto model =
        CreateCpuBackend({.num_threads = num_threads, .isa = kernels::ring::BestIsa()})->LoadLinear(layer);
    ASSERT_TRUE(model.ok()) << model.status();
    const Bytes limbs = RandomLimbs(layer, 1);
    Bytes words((*model)->output_shape().num_elements());
    std::atomic<int> asked{0};
    const absl::Status stopped = (*model)->Run(
        limbs, words, [&] { return ++asked < 3 ? absl::OkStatus() : absl::DeadlineExceededError("too late"); });
    EXPECT_TRUE(absl::IsDeadlineExceeded(stopped)) << stopped;
    EXPECT_LE(asked, 2 + num_threads) << "and not once for each of the 6 rows";
    EXPECT_TRUE((*model)->Run(limbs, words, {}).ok());
  }
}

TEST(LinearModelTest, RefusesALayerOfMoreWorkThanAllowedAndSaysBothNumbers) {
  const RingLayer layer = Parsed(SmallLayer());
  const uint64_t macs = *MacsOf(layer);
  EXPECT_TRUE(CreateCpuBackend({.max_model_macs = macs})->LoadLinear(layer).ok());
  const absl::Status status = CreateCpuBackend({.max_model_macs = macs - 1})->LoadLinear(layer).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              ::testing::AllOf(HasSubstr("takes " + std::to_string(macs)),
                               HasSubstr("may take " + std::to_string(macs - 1)), HasSubstr("quotas.model_macs")));
}

TEST(LinearModelTest, RefusesALayerOfMoreMemoryThanAllowed) {
  const RingLayer layer = Parsed(SmallLayer());
  const auto model = CreateCpuBackend({})->LoadLinear(layer);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_GE((*model)->memory_bytes(),
            layer.weights().size() + layer.InputShape().num_elements() + layer.OutputShape().num_elements());
  const auto too_small = static_cast<int64_t>((*model)->memory_bytes()) - 1;
  const absl::Status status = CreateCpuBackend({.max_model_memory = too_small})->LoadLinear(layer).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("quotas.model_memory"));
}

TEST(LinearModelTest, RefusesASmallUploadOfManyGroupsBeforeItsWeightsUnfold) {
  // 2^20 weights of 1 byte, each alone in its group.
  pb::LinearLayer message = DenseLayer(1);
  constexpr uint64_t kChannels = 1U << 20;
  message.set_in_channels(2 * kChannels);
  message.set_out_channels(kChannels);
  message.set_group(kChannels);
  message.set_weights(std::string(2 * kChannels, '\1'));
  const RingLayer layer = Parsed(message);
  const absl::Status status = CreateCpuBackend({.max_model_memory = int64_t{64} << 20})->LoadLinear(layer).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

TEST(LinearModelTest, RefusesAFewBytesThatSpeakOfAHugeImage) {
  pb::LinearLayer message = DenseLayer(1);
  message.set_in_height(1 << 30);
  message.set_out_height(1 << 30);
  const absl::Status status = CreateCpuBackend({})->LoadLinear(Parsed(message)).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

}  // namespace
}  // namespace shoji::accelerator
