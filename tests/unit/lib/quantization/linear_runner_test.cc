// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What models of usual size never reach: sums beyond 32 bits, rows in several chunks, rows that need padding.

#include "lib/quantization/linear_runner.h"

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/lib/quantization/naive_linear.h"
#include "tests/unit/lib/quantization/program_checks.h"

namespace shoji::quantization {
namespace {

using kernels::ring::Isa;

// Memory aligned to 64 bytes, as an arena gives it.
class Aligned {
 public:
  explicit Aligned(size_t size)
      : data_(static_cast<uint8_t*>(::operator new (size + 1, std::align_val_t{64}))), size_(size) {
    std::fill_n(data_, size_, uint8_t{0xA5});
  }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  ~Aligned() { ::operator delete (data_, std::align_val_t{64}); }
  std::span<uint8_t> bytes() { return {data_, size_}; }

 private:
  uint8_t* data_;
  size_t size_;
};

// A convolution with random numbers and its exact extremes.
LinearLayer RandomLayer(const kernels::ConvGeometry& geometry, uint8_t zero_point, unsigned seed) {
  std::mt19937 generator(seed);
  LinearLayer layer;
  layer.name = "conv";
  layer.geometry = geometry;
  layer.input_zero_point = zero_point;
  const auto channels = static_cast<size_t>(geometry.out_channels);
  const auto per_channel = static_cast<size_t>(geometry.in_channels / geometry.group * geometry.window.kernel[0] *
                                               geometry.window.kernel[1]);
  for (size_t c = 0; c < channels; ++c) {
    int64_t positive = 0;
    int64_t negative = 0;
    for (size_t i = 0; i < per_channel; ++i) {
      const int w = static_cast<int>(generator() % 255) - 127;
      layer.weights.push_back(static_cast<int8_t>(w));
      positive += std::max(w, 0);
      negative += std::min(w, 0);
    }
    layer.lo.push_back(-positive * zero_point + negative * (255 - zero_point));
    layer.hi.push_back(positive * (255 - zero_point) - negative * zero_point);
    layer.bias.push_back(static_cast<int64_t>(generator() % 2000) - 1000);
    layer.multiplier.push_back(200.0F / static_cast<float>(layer.hi[c] - layer.lo[c]));
  }
  layer.output_zero_point = 90;
  layer.output_min = 60;
  layer.output_max = 200;
  return layer;
}

std::vector<uint8_t> RandomInput(const kernels::ConvGeometry& g, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<uint8_t> input(static_cast<size_t>(g.input[0]) *
                             kernels::ring::ActivationRowBytes(g.input[1], g.in_channels));
  for (uint8_t& byte : input) {
    byte = static_cast<uint8_t>(generator());
  }
  return input;
}

void ExpectAsDefined(LinearLayer layer, const std::optional<kernels::PoolGeometry>& max_pool,
                     const std::vector<uint8_t>& input) {
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512Vnni}) {
    if (!kernels::ring::IsSupported(isa)) {
      continue;
    }
    SCOPED_TRACE(kernels::ring::NameOf(isa));
    layer.quantized_output = true;
    const auto runner = LinearRunner::Create(layer, max_pool, {.isa = isa});
    ASSERT_TRUE(runner.ok()) << runner.status();
    Aligned scratch((*runner)->scratch_bytes());
    const kernels::Extents output = max_pool.has_value() ? max_pool->output : layer.geometry.output;
    const size_t padded = kernels::ring::PaddedChannels(layer.geometry.out_channels);
    std::vector<uint8_t> bytes(static_cast<size_t>(output[0] * output[1]) * padded);
    (*runner)->Run(input, bytes, scratch.bytes());
    const std::vector<uint8_t> expected = NaiveBytes(layer, max_pool, input);
    const size_t plane = static_cast<size_t>(output[0] * output[1]);
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(bytes[i % plane * padded + i / plane], expected[i]) << i;
    }
    layer.quantized_output = false;
    const auto float_runner = LinearRunner::Create(layer, std::nullopt, {.isa = isa});
    ASSERT_TRUE(float_runner.ok()) << float_runner.status();
    Aligned float_scratch((*float_runner)->scratch_bytes());
    const std::vector<float> expected_floats = NaiveFloats(layer, input);
    const kernels::Extents positions = layer.geometry.output;
    std::vector<float> floats(static_cast<size_t>(positions[0] * positions[1]) * padded);
    size_t num_told = 0;
    (*float_runner)->Run(input, floats, float_scratch.bytes(), [&](size_t begin, size_t end) {
      EXPECT_EQ(begin, num_told) << "parts come in order";
      num_told = end;
    });
    EXPECT_EQ(num_told, static_cast<size_t>(positions[0] * positions[1]));
    ASSERT_EQ(FloatsChannelsFirst(layer.bias.size(), floats), expected_floats);
  }
}

// RunBatch of three inputs, to bytes and to float32, against Run of each.
void ExpectTogetherAsAlone(LinearLayer layer, const std::optional<kernels::PoolGeometry>& max_pool) {
  const std::array<std::vector<uint8_t>, 3> inputs = {RandomInput(layer.geometry, 1), RandomInput(layer.geometry, 2),
                                                      RandomInput(layer.geometry, 3)};
  const auto size_of = [&](const kernels::Extents& output) {
    return static_cast<size_t>(output[0] * output[1]) * kernels::ring::PaddedChannels(layer.geometry.out_channels);
  };
  const auto expect = [&]<typename Value>(const LinearRunner& runner, size_t size, Value /*type*/) {
    ASSERT_TRUE(runner.RunsBatches());
    std::vector<std::vector<Value>> alone(3, std::vector<Value>(size));
    std::vector<std::vector<Value>> together = alone;
    std::vector<std::unique_ptr<Aligned>> scratch;
    std::vector<LinearRunner::BatchRun<Value>> runs;
    for (size_t i = 0; i < 3; ++i) {
      scratch.push_back(std::make_unique<Aligned>(runner.scratch_bytes()));
      runner.Run(inputs[i], alone[i], scratch[i]->bytes());
      runs.push_back({inputs[i], together[i], scratch[i]->bytes()});
    }
    runner.RunBatch(std::span<const LinearRunner::BatchRun<Value>>(runs));
    EXPECT_EQ(together, alone);
  };
  layer.quantized_output = true;
  expect(*LinearRunner::Create(layer, max_pool, {.isa = kernels::ring::BestIsa()}).value(),
         size_of(max_pool.has_value() ? max_pool->output : layer.geometry.output), uint8_t{0});
  layer.quantized_output = false;
  expect(*LinearRunner::Create(layer, std::nullopt, {.isa = kernels::ring::BestIsa()}).value(),
         size_of(layer.geometry.output), 0.0F);
}

kernels::ConvGeometry SquareConv(int64_t side, int64_t in, int64_t out) {
  kernels::ConvGeometry g;
  g.in_channels = in;
  g.out_channels = out;
  g.input = g.output = {side, side};
  g.window.kernel = {3, 3};
  g.window.pads = {1, 1, 1, 1};
  return g;
}

TEST(LinearRunnerTest, SeveralInputsTogetherHaveTheBitsOfEach) {
  ExpectTogetherAsAlone(RandomLayer(SquareConv(8, 5, 9), 33, 1), std::nullopt);
  kernels::PoolGeometry pool;
  pool.channels = 9;
  pool.input = {8, 8};
  pool.output = {4, 4};
  pool.window.kernel = pool.window.strides = {2, 2};
  ExpectTogetherAsAlone(RandomLayer(SquareConv(8, 16, 9), 33, 1), pool);
  kernels::ConvGeometry dense;
  dense.in_channels = 700;
  dense.out_channels = 150;
  ExpectTogetherAsAlone(RandomLayer(dense, 90, 2), std::nullopt);
}

TEST(LinearRunnerTest, RowsThatAreNoMultipleOf64BytesAreComputed) {
  ExpectAsDefined(RandomLayer(SquareConv(7, 5, 9), 33, 1), std::nullopt, RandomInput(SquareConv(7, 5, 9), 2));
}

TEST(LinearRunnerTest, LayerOfSeveralChunksIsComputed) {
  // A row of words is 64 * 160 * 4 bytes: 12 rows are a chunk of 512 KiB.
  const kernels::ConvGeometry g = SquareConv(64, 2, 160);
  kernels::PoolGeometry pool;
  pool.channels = 160;
  pool.input = {64, 64};
  pool.output = {32, 32};
  pool.window.kernel = pool.window.strides = {2, 2};
  ExpectAsDefined(RandomLayer(g, 128, 3), pool, RandomInput(g, 4));
}

TEST(LinearRunnerTest, SumsBeyond32BitsAreLifted) {
  kernels::ConvGeometry g;
  g.in_channels = 100'000;
  g.out_channels = 3;
  for (const uint8_t zero_point : {uint8_t{0}, uint8_t{255}, uint8_t{128}}) {
    LinearLayer layer = RandomLayer(g, zero_point, 5);
    // One channel whose sums leave 32 bits on one side, one that leaves them by its bias.
    std::fill_n(layer.weights.begin(), 100'000, int8_t{127});
    layer.lo[0] = int64_t{-127} * 100'000 * zero_point;
    layer.hi[0] = int64_t{127} * 100'000 * (255 - zero_point);
    layer.bias[1] = int64_t{3} << 36;
    layer.multiplier = {1e-8F, 1e-9F, 1e-6F};
    for (const uint8_t value : {uint8_t{0}, uint8_t{255}, uint8_t{77}}) {
      ExpectAsDefined(layer, std::nullopt, std::vector<uint8_t>(100'000, value));
    }
  }
}

TEST(LinearRunnerTest, KernelThatThisCpuLacksIsRefused) {
  const LinearLayer layer = RandomLayer(SquareConv(4, 4, 4), 0, 1);
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512Vnni}) {
    EXPECT_EQ(LinearRunner::Create(layer, std::nullopt, {.isa = isa}).ok(), kernels::ring::IsSupported(isa));
  }
}

}  // namespace
}  // namespace shoji::quantization
