// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a CUDA device makes of linear layers, bit for bit against the CPU's kernels.
#include "gpu_worker/cuda/linear_model.h"

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu_worker/cuda/linear_layer.h"
#include "tests/unit/gpu_worker/cuda/device_fixture.h"
#include "tests/unit/gpu_worker/linear_layers.h"

namespace shoji::accelerator {
namespace {

using kernels::ConvGeometry;
using kernels::ring::Ring;
using ::testing::HasSubstr;
using testing::RandomLimbs;

constexpr RingKernel kKernels[] = {RingKernel::kTensorCore, RingKernel::kVector, RingKernel::kDepthwise,
                                   RingKernel::kDirect};
const CpuBackendOptions kLimits = {.isa = kernels::ring::BestIsa()};

void SetOutput(ConvGeometry& g) {
  for (size_t axis = 0; axis < 2; ++axis) {
    const int64_t padded = g.input[axis] + g.window.pads[axis] + g.window.pads[axis + 2];
    g.output[axis] = (padded - g.window.Span(axis)) / g.window.strides[axis] + 1;
  }
}

std::string RandomWeights(const ConvGeometry& g, std::minstd_rand& random) {
  std::string weights(
      static_cast<size_t>(g.out_channels * g.in_channels / g.group * g.window.kernel[0] * g.window.kernel[1]), '\0');
  for (char& weight : weights) {
    weight = static_cast<char>(random() >> 8);
  }
  return weights;
}

void SetForm(RingLayer& layer, uint32_t form) {
  layer.ring = form % 2 == 0 ? Ring::k32 : Ring::k24;
  layer.num_limbs = form % 4 < 2 ? kernels::ring::WordBytes(layer.ring) : 1;
  layer.padding = layer.num_limbs == 1 ? static_cast<uint8_t>(form * 37) : 0;
}

RingLayer RandomLayer(std::minstd_rand& random) {
  const auto draw = [&random](int64_t least, int64_t most) {
    return least + static_cast<int64_t>(random() / 7 % static_cast<uint32_t>(most - least + 1));
  };
  RingLayer layer;
  SetForm(layer, static_cast<uint32_t>(draw(0, 1000)));
  ConvGeometry& g = layer.geometry;
  switch (draw(0, 4)) {
    case 0:  // depthwise
      g.group = g.in_channels = g.out_channels = draw(1, 40);
      break;
    case 1:  // groups
      g.group = draw(2, 5);
      g.in_channels = g.group * draw(1, 12);
      g.out_channels = g.group * draw(1, 12);
      break;
    case 2:  // groups that begin at multiples of 4
      g.group = draw(2, 5);
      g.in_channels = g.group * draw(1, 9) * 4;
      g.out_channels = g.group * draw(1, 20) * 4;
      break;
    case 3:
      g.in_channels = draw(1, 9) * 16;
      g.out_channels = draw(1, 200);
      break;
    default:
      g.in_channels = draw(1, 150);
      g.out_channels = draw(1, 150);
      break;
  }
  const bool is_point = draw(0, 2) == 0;
  for (size_t axis = 0; axis < 2; ++axis) {
    g.window.kernel[axis] = is_point ? 1 : draw(1, 4);
    g.window.strides[axis] = draw(1, 3);
    g.window.dilations[axis] = draw(1, 2);
    g.window.pads[axis] = is_point ? 0 : draw(0, 3);
    g.window.pads[axis + 2] = is_point ? 0 : draw(0, 3);
    g.input[axis] = g.window.Span(axis) + draw(0, is_point && draw(0, 1) == 0 ? 1 : 20);
  }
  SetOutput(g);
  layer.weight_bytes = RandomWeights(g, random);
  return layer;
}

std::string TextOf(const RingLayer& layer) {
  const ConvGeometry& g = layer.geometry;
  std::string out;
  const auto add = [&out](const char* name, std::initializer_list<int64_t> values) {
    out += std::string(name) + ":";
    for (const int64_t value : values) {
      out += " " + std::to_string(value);
    }
    out += "; ";
  };
  add("ring bits, limbs, padding", {Bits(layer.ring), static_cast<int64_t>(layer.num_limbs), layer.padding});
  add("channels, groups", {g.in_channels, g.out_channels, g.group});
  add("input, output", {g.input[0], g.input[1], g.output[0], g.output[1]});
  const kernels::Window& w = g.window;
  add("kernel", {w.kernel[0], w.kernel[1]});
  add("strides, dilations", {w.strides[0], w.strides[1], w.dilations[0], w.dilations[1]});
  add("pads", {w.pads[0], w.pads[1], w.pads[2], w.pads[3]});
  return out;
}

Bytes OnTheCpu(const RingLayer& layer, ByteSpan limbs) {
  const auto model = CreateCpuBackend(kLimits)->LoadLinear(layer);
  EXPECT_TRUE(model.ok()) << model.status();
  Bytes words(layer.OutputShape().num_elements(), 0x5A);
  EXPECT_TRUE((*model)->Run(limbs, words, {}).ok());
  return words;
}

class CudaLinearModelTest : public testing::DeviceTest {
 protected:
  void ExpectTheCpusWords(const RingLayer& layer, ByteSpan limbs) {
    SCOPED_TRACE(TextOf(layer));
    const Bytes expected = OnTheCpu(layer, limbs);
    for (const RingKernel kernel : kKernels) {
      if (!CudaKernelTakes(kernel, layer.geometry)) {
        continue;
      }
      const auto model = CreateCudaLinearModel(device(), layer, kLimits, kernel);
      ASSERT_TRUE(model.ok()) << model.status();
      Bytes words(expected.size(), 0xA5);
      const absl::Status ran = (*model)->Run(limbs, words, {});
      ASSERT_TRUE(ran.ok()) << ran;
      ASSERT_EQ(words, expected) << "kernel " << static_cast<int>(kernel);
    }
  }
};

TEST_F(CudaLinearModelTest, EveryKernelGivesTheCpusWordsOnRandomLayers) {
  std::minstd_rand random(20261127);  // NOLINT(cert-msc51-cpp): the same layers in every run
  for (uint32_t i = 0; i < 300; ++i) {
    const RingLayer layer = RandomLayer(random);
    ExpectTheCpusWords(layer, RandomLimbs(layer, i + 1));
    if (HasFatalFailure()) {
      return;
    }
  }
}

TEST_F(CudaLinearModelTest, SumsThatLeave32BitsWrapAround) {
  for (const int64_t rows : {1, 3, 6}) {
    RingLayer layer;
    layer.ring = Ring::k32;
    layer.num_limbs = 4;
    layer.geometry.in_channels = 140'000;
    layer.geometry.out_channels = 3;
    layer.geometry.input = layer.geometry.output = {1, rows};
    layer.weight_bytes.assign(3 * 140'000, '\x80');  // -128
    layer.weight_bytes.replace(0, 140'000, 140'000, '\x7F');
    const Bytes limbs(layer.InputShape().num_elements(), 255);
    ExpectTheCpusWords(layer, limbs);
  }
}

TEST_F(CudaLinearModelTest, LayersOfRealNetworksHaveTheCpusWords) {
  struct Real {
    int64_t in_channels;
    int64_t out_channels;
    kernels::Extents input;
    kernels::Window window;
  };
  const kernels::Window same = {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}};
  const Real reals[] = {{3, 64, {64, 64}, {{7, 7}, {2, 2}, {1, 1}, {3, 3, 3, 3}}},
                        {64, 128, {112, 112}, same},
                        {256, 256, {28, 28}, same},
                        {512, 512, {7, 7}, same},
                        {4096, 1000, {1, 1}, {}}};
  std::minstd_rand random(5);  // NOLINT(cert-msc51-cpp): the same layers in every run
  uint32_t form = 0;
  for (const Real& real : reals) {
    RingLayer layer;
    SetForm(layer, form++);
    layer.geometry.in_channels = real.in_channels;
    layer.geometry.out_channels = real.out_channels;
    layer.geometry.input = real.input;
    layer.geometry.window = real.window;
    SetOutput(layer.geometry);
    layer.weight_bytes = RandomWeights(layer.geometry, random);
    ExpectTheCpusWords(layer, RandomLimbs(layer, form));
  }
}

TEST_F(CudaLinearModelTest, RequestsTogetherHaveTheWordsThatEachHasAlone) {
  std::minstd_rand random(11);  // NOLINT(cert-msc51-cpp): the same layers in every run
  for (int i = 0; i < 12; ++i) {
    const RingLayer layer = RandomLayer(random);
    SCOPED_TRACE(TextOf(layer));
    const auto model = CreateCudaLinearModel(device(), layer, kLimits);
    ASSERT_TRUE(model.ok()) << model.status();
    for (const size_t num_runs : {1U, 3U, 70U}) {
      std::vector<Bytes> limbs;
      std::vector<Bytes> words(num_runs, Bytes(layer.OutputShape().num_elements(), 0xA5));
      std::vector<LinearModel::BatchRun> runs;
      for (size_t r = 0; r < num_runs; ++r) {
        limbs.push_back(RandomLimbs(layer, static_cast<uint32_t>(r + 1)));
      }
      for (size_t r = 0; r < num_runs; ++r) {
        runs.push_back({limbs[r], words[r]});
      }
      ASSERT_TRUE((*model)->RunBatch(runs, {}).ok());
      for (size_t r = 0; r < num_runs; ++r) {
        ASSERT_EQ(words[r], OnTheCpu(layer, limbs[r])) << r << " of " << num_runs;
      }
    }
  }
  EXPECT_EQ(device().memory_in_use(), 0U) << "models and runs are gone";
}

TEST_F(CudaLinearModelTest, RunsAtTheSameTimeDoNotMix) {
  std::minstd_rand random(3);  // NOLINT(cert-msc51-cpp): the same layers in every run
  const RingLayer layer = RandomLayer(random);
  const auto model = CreateCudaLinearModel(device(), layer, kLimits);
  ASSERT_TRUE(model.ok()) << model.status();
  std::vector<std::jthread> threads;
  for (uint32_t seed = 1; seed <= 6; ++seed) {
    threads.emplace_back([&, seed] {
      const Bytes limbs = RandomLimbs(layer, seed);
      const Bytes expected = OnTheCpu(layer, limbs);
      for (int i = 0; i < 50; ++i) {
        Bytes words(expected.size(), 0xA5);
        ASSERT_TRUE((*model)->Run(limbs, words, {}).ok());
        ASSERT_EQ(words, expected);
      }
    });
  }
}

// 3.7e11 multiply-adds with their limbs, of many launches.
RingLayer HeavyLayer() {
  RingLayer layer;
  layer.num_limbs = 4;
  layer.geometry.in_channels = layer.geometry.out_channels = 512;
  layer.geometry.input = layer.geometry.output = {200, 200};
  layer.geometry.window = {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}};
  layer.weight_bytes.assign(512 * 512 * 9, '\x81');
  return layer;
}

TEST_F(CudaLinearModelTest, StopsBetweenLaunchesAndServesTheNextRun) {
  const RingLayer layer = HeavyLayer();
  const auto model = CreateCudaLinearModel(device(), layer, kLimits);
  ASSERT_TRUE(model.ok()) << model.status();
  const Bytes limbs = RandomLimbs(layer, 1);
  Bytes words(layer.OutputShape().num_elements());
  int asked = 0;
  const absl::Status stopped = (*model)->Run(
      limbs, words, [&asked] { return ++asked < 3 ? absl::OkStatus() : absl::DeadlineExceededError("too late"); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(stopped)) << stopped;
  EXPECT_EQ(asked, 3);
  EXPECT_TRUE((*model)->Run(limbs, words, {}).ok());
}

TEST_F(CudaLinearModelTest, RefusesMoreWorkOrMemoryThanAModelMayHave) {
  std::minstd_rand random(8);  // NOLINT(cert-msc51-cpp): the same layers in every run
  const RingLayer layer = RandomLayer(random);
  const auto model = CreateCudaLinearModel(device(), layer, kLimits);
  ASSERT_TRUE(model.ok()) << model.status();
  const auto memory = static_cast<int64_t>((*model)->memory_bytes());
  EXPECT_TRUE(CreateCudaLinearModel(device(), layer, {.max_model_memory = memory}).ok());
  absl::Status status = CreateCudaLinearModel(device(), layer, {.max_model_memory = memory - 1}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("quotas.model_memory"));
  status = CreateCudaLinearModel(device(), layer, {.max_model_macs = *MacsOf(layer) - 1}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("quotas.model_macs"));
}

TEST_F(CudaLinearModelTest, DeviceMemoryThatRunsOutEndsALoadOrARunAndNothingElse) {
  const RingLayer layer = HeavyLayer();
  const size_t weights = layer.weight_bytes.size();
  const auto small = Device::Open({.max_memory = weights + 1000});
  ASSERT_TRUE(small.ok()) << small.status();
  const auto model = CreateCudaLinearModel(**small, layer, kLimits);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_TRUE(absl::IsResourceExhausted(CreateCudaLinearModel(**small, layer, kLimits).status()));
  const Bytes limbs = RandomLimbs(layer, 1);
  Bytes words(layer.OutputShape().num_elements());
  EXPECT_TRUE(absl::IsResourceExhausted((*model)->Run(limbs, words, {})));
  EXPECT_EQ((*small)->memory_in_use(), weights);
}

TEST_F(CudaLinearModelTest, RefusesExtentsThatKernelsCannotCount) {
  RingLayer layer;
  layer.num_limbs = 1;
  layer.geometry.input = {1, 1};
  layer.geometry.window.pads = {int64_t{1} << 30, 0, 0, 0};
  layer.geometry.window.strides = {int64_t{1} << 30, 1};
  SetOutput(layer.geometry);
  layer.weight_bytes = "\1";
  const absl::Status status = CreateCudaLinearModel(device(), layer, kLimits).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
}

TEST_F(CudaLinearModelTest, ItsOwnTestPasses) {
  const absl::Status exact = TestCudaLinearModels(device());
  EXPECT_TRUE(exact.ok()) << exact;
}

}  // namespace
}  // namespace shoji::accelerator
