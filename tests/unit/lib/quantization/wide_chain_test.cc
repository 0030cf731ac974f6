// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/wide_chain.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "lib/quantization/byte_form.h"

namespace shoji::quantization {
namespace {

using kernels::Activation;
using kernels::BinaryKind;

constexpr size_t kChannels = 6;
constexpr size_t kPadded = 8;

// A frame with slots that the test fills.
class WideChainTest : public ::testing::TestWithParam<size_t> {  // pixels
 protected:
  size_t pixels() const { return GetParam(); }

  Slot AddFloats(size_t count) {
    SlotInfo info;
    info.size_bytes = count * sizeof(float);
    info.last = 1;
    layout_->slots.push_back(info);
    return static_cast<Slot>(layout_->slots.size() - 1);
  }
  Slot AddBytes(size_t count) {
    SlotInfo info;
    info.form = ByteTensor();
    info.size_bytes = count;
    info.last = 1;
    layout_->slots.push_back(info);
    return static_cast<Slot>(layout_->slots.size() - 1);
  }
  ArenaFrame& frame() {
    if (frame_ == nullptr) {
      EXPECT_TRUE(LayOut(size_t{1} << 24, *layout_).ok());
      frame_ = std::make_unique<ArenaFrame>(layout_);
    }
    return *frame_;
  }
  std::vector<float> Fill(Slot slot) {
    std::uniform_real_distribution<float> uniform(-4, 4);
    for (float& value : frame().floats(slot)) {
      value = uniform(generator_);
    }
    return {frame().floats(slot).begin(), frame().floats(slot).end()};
  }
  std::vector<uint8_t> FillBytes(Slot slot) {
    for (uint8_t& value : frame().bytes(slot)) {
      value = static_cast<uint8_t>(generator_());
    }
    return {frame().bytes(slot).begin(), frame().bytes(slot).end()};
  }
  void Run(const WideChain& chain) {
    std::vector<float> scratch(chain.scratch_floats());
    // In two parts, as a layer before it does.
    chain.Run(frame(), 0, pixels() / 2, scratch);
    chain.Run(frame(), pixels() / 2, pixels(), scratch);
  }
  static ByteTensor Form(uint8_t zero_point, std::vector<float> scales) {
    ByteTensor form;
    form.channels = kChannels;
    form.parameters = {0.05F, zero_point};
    form.scales = std::move(scales);
    return form;
  }

  const ByteKernels& kernels_ = ByteKernelsFor(kernels::ring::BestIsa());
  std::mt19937 generator_{5};
  std::shared_ptr<FrameLayout> layout_ = std::make_shared<FrameLayout>();
  std::unique_ptr<ArenaFrame> frame_;
};

TEST_P(WideChainTest, LinksAreAppliedInTheirOrder) {
  const Slot x = AddFloats(pixels() * kPadded);
  const Slot other = AddFloats(pixels() * kPadded);
  const Slot y = AddFloats(pixels() * kPadded);
  const std::vector<float> a = Fill(x);
  const std::vector<float> b = Fill(other);
  WideChain chain(kernels_, kChannels);
  chain.SetFirst({x, Walk::kWhole, std::nullopt});
  chain.Append(WideChain::Affine{{1, 2, 3, 4, 5, 6}, {0, 0.5, 0, 0, 0, -1}});
  chain.Append(WideChain::Pair{BinaryKind::kSub, {other, Walk::kWhole, std::nullopt}, true});
  chain.Append(WideChain::Function{{Activation::Kind::kRelu}});
  chain.Append(WideChain::Pair{BinaryKind::kMul, {other, Walk::kWhole, std::nullopt}});
  chain.SetResult({y, std::nullopt, {}, {}});
  Run(chain);
  for (size_t i = 0; i < a.size(); ++i) {
    const size_t c = i % kPadded;
    if (c >= kChannels) {
      continue;
    }
    const float shift = c == 1 ? 0.5F : c == 5 ? -1.0F : 0.0F;
    const float scaled = a[i] * static_cast<float>(c + 1);
    const float line = scaled + shift;
    ASSERT_EQ(frame().floats(y)[i], std::max(b[i] - line, 0.0F) * b[i]) << i;
  }
}

TEST_P(WideChainTest, BytesAreReadAndWrittenWithTheScalesOfTheirChannels) {
  const Slot x = AddBytes(pixels() * kPadded);
  const Slot y = AddBytes(pixels() * kPadded);
  const std::vector<float> from = {1, 0.5F, 0.25F, 1, 1, 0.5F};
  const std::vector<float> to = {0.5F, 0.5F, 0.5F, 1, 0.25F, 1};
  const std::vector<uint8_t> bytes = FillBytes(x);
  WideChain chain(kernels_, kChannels);
  chain.SetFirst({x, Walk::kWhole, Form(100, from)});
  chain.SetResult({std::nullopt, y, Form(30, to), {30, 10, 240}});
  Run(chain);
  for (size_t i = 0; i < bytes.size(); ++i) {
    const size_t c = i % kPadded;
    if (c < kChannels) {
      const float real = static_cast<float>(int{bytes[i]} - 100) * (0.05F * from[c]);
      const double rounded = std::nearbyint(static_cast<double>(real * (1 / (0.05F * to[c])))) + 30;
      ASSERT_NEAR(frame().bytes(y)[i], std::clamp(rounded, 10.0, 240.0), 1) << i;
    }
  }
}

TEST_P(WideChainTest, OperandsOfOneValueAChannelAPixelOrAltogetherAreSpread) {
  for (const bool in_bytes : {false, true}) {
    for (const Walk walk : {Walk::kChannel, Walk::kPixel, Walk::kSingle}) {
      layout_ = std::make_shared<FrameLayout>();
      frame_.reset();
      const size_t count = walk == Walk::kChannel ? kPadded : walk == Walk::kPixel ? pixels() * 4 : 4;
      const Slot x = AddFloats(pixels() * kPadded);
      const Slot other = in_bytes ? AddBytes(count) : AddFloats(count);
      const Slot y = AddFloats(pixels() * kPadded);
      const std::vector<float> a = Fill(x);
      std::vector<float> b;
      if (in_bytes) {
        for (const uint8_t byte : FillBytes(other)) {
          b.push_back(static_cast<float>(int{byte} - 9) * 0.05F);
        }
      } else {
        b = Fill(other);
      }
      WideChain chain(kernels_, kChannels);
      chain.SetFirst({x, Walk::kWhole, std::nullopt});
      chain.Append(
          WideChain::Pair{BinaryKind::kAdd, {other, walk, in_bytes ? std::optional(Form(9, {})) : std::nullopt}});
      chain.SetResult({y, std::nullopt, {}, {}});
      Run(chain);
      for (size_t i = 0; i < a.size(); ++i) {
        const size_t c = i % kPadded;
        const size_t at = walk == Walk::kChannel ? c : walk == Walk::kPixel ? i / kPadded * 4 : 0;
        if (c < kChannels) {
          ASSERT_EQ(frame().floats(y)[i], a[i] + b[at]) << i << " walk " << static_cast<int>(walk);
        }
      }
    }
  }
}

TEST_P(WideChainTest, GateMultipliesWhatItIsAFunctionOf) {
  const Slot x = AddFloats(pixels() * kPadded);
  const Slot swish = AddFloats(pixels() * kPadded);
  const Slot hard = AddFloats(pixels() * kPadded);
  const std::vector<float> a = Fill(x);
  for (const bool is_gate : {false, true}) {
    WideChain chain(kernels_, kChannels);
    chain.SetFirst({x, Walk::kWhole, std::nullopt});
    chain.Append(WideChain::Function{{is_gate ? Activation::Kind::kSigmoid : Activation::Kind::kSwish}, is_gate});
    chain.SetResult({swish, std::nullopt, {}, {}});
    Run(chain);
    WideChain other(kernels_, kChannels);
    other.SetFirst({x, Walk::kWhole, std::nullopt});
    other.Append(is_gate ? WideChain::Function{{Activation::Kind::kHardSigmoid, 1.0F / 6, 0.5F}, true}
                         : WideChain::Function{{Activation::Kind::kHardSwish}, false});
    other.SetResult({hard, std::nullopt, {}, {}});
    Run(other);
    for (size_t i = 0; i < a.size(); ++i) {
      if (i % kPadded < kChannels) {
        const double value = static_cast<double>(a[i]);
        ASSERT_NEAR(frame().floats(swish)[i], value / (1 + std::exp(-value)), 1e-6);
        ASSERT_NEAR(frame().floats(hard)[i], value * std::clamp(value / 6 + 0.5, 0.0, 1.0), 1e-6);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Pixels, WideChainTest, ::testing::Values(1, 2, 127, 128, 129, 700));

}  // namespace
}  // namespace shoji::quantization
