// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Our own float32 kernels against the reference kernels, for every instruction set that this CPU has.

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "lib/kernels/blocked/convolution.h"
#include "lib/kernels/blocked/squeeze_excite.h"
#include "lib/kernels/reference/elementwise.h"
#include "lib/kernels/reference/linear.h"
#include "lib/tensor/tensor.h"
#include "tests/unit/lib/kernels/onednn_harness.h"

namespace shoji::kernels {
namespace {

using blocked::Ops;
using blocked::OpsFor;
using blocked::WinogradConvolution;

constexpr size_t kLanes[] = {8, 16};

// [channels][cells] to [channels / lanes][cells][lanes], the last block padded with zeros, and back.
Values ToBlocks(const Values& plain, size_t channels, size_t lanes) {
  const size_t cells = plain.size() / channels;
  Values out((channels + lanes - 1) / lanes * lanes * cells);
  for (size_t c = 0; c < channels; ++c) {
    for (size_t i = 0; i < cells; ++i) {
      out[(c / lanes * cells + i) * lanes + c % lanes] = plain[c * cells + i];
    }
  }
  return out;
}

Values ToPlain(const Values& blocks, size_t channels, size_t lanes) {
  const size_t cells = blocks.size() / ((channels + lanes - 1) / lanes * lanes);
  Values out(channels * cells);
  for (size_t c = 0; c < channels; ++c) {
    for (size_t i = 0; i < cells; ++i) {
      out[c * cells + i] = blocks[(c / lanes * cells + i) * lanes + c % lanes];
    }
  }
  return out;
}

// Memory as kernels get it: aligned, and with the remains of others in it.
Tensor Scratch(size_t size_bytes) {
  Tensor out(DataType::kUint8, Shape({static_cast<int64_t>(size_bytes)}));
  std::fill(out.mutable_bytes().begin(), out.mutable_bytes().end(), uint8_t{0xFF});
  return out;
}

struct WinogradCase {
  std::string name;
  int64_t in = 16;
  int64_t out = 16;
  Extents input = {8, 8};
  std::array<int64_t, 4> pads = {1, 1, 1, 1};
};

ConvGeometry GeometryOf(const WinogradCase& c) {
  ConvGeometry g;
  g.in_channels = c.in;
  g.out_channels = c.out;
  g.input = c.input;
  g.window.kernel = {3, 3};
  g.window.pads = c.pads;
  for (size_t axis = 0; axis < 2; ++axis) {
    g.output[axis] = c.input[axis] + c.pads[axis] + c.pads[axis + 2] - 2;
  }
  return g;
}

class WinogradTest : public testing::TestWithParam<WinogradCase> {
 protected:
  WinogradTest() : g_(GeometryOf(GetParam())) {
    x_ = RandomValues(static_cast<size_t>(g_.in_channels * g_.input[0] * g_.input[1]), 1);
    w_ = RandomValues(static_cast<size_t>(g_.out_channels * g_.in_channels * 9), 2);
    bias_ = RandomValues(static_cast<size_t>(g_.out_channels), 3);
    expected_.resize(static_cast<size_t>(g_.out_channels * g_.output[0] * g_.output[1]));
    reference::Convolve(g_, x_, w_, bias_, expected_);
  }

  Values Run(const Ops& ops, size_t tile, const std::vector<Activation>& activations, const Values& residual) const {
    const auto convolution = WinogradConvolution::Create(ops, g_, tile);
    EXPECT_TRUE(convolution.has_value());
    const auto out_channels = static_cast<size_t>(g_.out_channels);
    const Values x = ToBlocks(x_, static_cast<size_t>(g_.in_channels), ops.lanes);
    Values packed(convolution->packed_elements());
    convolution->Pack(w_, packed);
    // In place of the residual, which is allowed.
    Values y = residual.empty() ? Values(expected_.size(), NAN) : ToBlocks(residual, out_channels, ops.lanes);
    const blocked::Finish finish = {bias_.data(), residual.empty() ? nullptr : y.data(), activations.data(),
                                    activations.size()};
    Tensor scratch = Scratch(convolution->scratch_bytes());
    convolution->Run(x.data(), packed.data(), finish, y.data(), scratch.mutable_bytes());
    return ToPlain(y, out_channels, ops.lanes);
  }

  ConvGeometry g_;
  Values x_, w_, bias_, expected_;
};

TEST_P(WinogradTest, AgreesWithTheReference) {
  for (const size_t lanes : kLanes) {
    const Ops* ops = OpsFor(lanes);
    for (const size_t tile : {size_t{2}, size_t{4}}) {
      if (ops != nullptr && WinogradConvolution::Create(*ops, g_, tile).has_value()) {
        ExpectClose(Run(*ops, tile, {}, {}), expected_,
                    std::to_string(lanes) + " lanes, tiles of " + std::to_string(tile));
      }
    }
  }
}

TEST_P(WinogradTest, AddsTheResidualAndActivatesAfterwards) {
  const std::vector<Activation> activations = {{Activation::Kind::kLeakyRelu, 0.25F}, {Activation::Kind::kSwish}};
  const Values residual = RandomValues(expected_.size(), 4);
  Values expected = expected_;
  for (size_t i = 0; i < expected.size(); ++i) {
    expected[i] += residual[i];
  }
  for (const Activation& activation : activations) {
    reference::Activate(activation, expected, expected);
  }
  for (const size_t lanes : kLanes) {
    const Ops* ops = OpsFor(lanes);
    for (const size_t tile : {size_t{2}, size_t{4}}) {
      if (ops != nullptr && WinogradConvolution::Create(*ops, g_, tile).has_value()) {
        ExpectClose(Run(*ops, tile, activations, residual), expected, std::to_string(lanes) + " lanes");
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, WinogradTest,
                         testing::Values(WinogradCase{"whole_tiles"}, WinogradCase{"one_cell", 16, 32, {1, 1}},
                                         WinogradCase{"odd_extents", 32, 48, {7, 13}},
                                         WinogradCase{"no_padding", 16, 16, {9, 6}, {0, 0, 0, 0}},
                                         WinogradCase{"uneven_padding", 16, 16, {5, 8}, {0, 1, 2, 0}},
                                         WinogradCase{"padding_of_two", 48, 16, {6, 5}, {2, 2, 2, 2}},
                                         WinogradCase{"odd_blocks", 80, 48, {10, 11}},
                                         WinogradCase{"many_passes", 16, 16, {160, 90}},
                                         WinogradCase{"blocks_of_eight", 24, 40, {12, 12}}),
                         [](const auto& instance) { return instance.param.name; });

TEST(WinogradRefusalTest, OtherConvolutionsAreNotTaken) {
  const ConvGeometry good = GeometryOf({});
  std::vector<ConvGeometry> bad(8, good);
  bad[0].window.strides = {2, 1};
  bad[1].window.dilations = {1, 2};
  bad[2].window.kernel = {1, 3};
  bad[3].group = 2;
  bad[4].in_channels = 17;
  bad[5].out_channels = 20;
  bad[6].window.pads = {3, 1, 1, 1};
  bad[7].batch = 2;
  for (const size_t lanes : kLanes) {
    if (const Ops* ops = OpsFor(lanes); ops != nullptr) {
      EXPECT_TRUE(WinogradConvolution::Create(*ops, good, 4).has_value());
      for (const ConvGeometry& geometry : bad) {
        EXPECT_FALSE(WinogradConvolution::Create(*ops, geometry, 4).has_value());
      }
    }
  }
}

TEST(BlockedOpsTest, NoTableForVectorsThatNoCpuHas) { EXPECT_EQ(OpsFor(12), nullptr); }

TEST(BlockedOpsTest, ActivationsAgreeWithTheReference) {
  constexpr Activation kActivations[] = {{Activation::Kind::kRelu},      {Activation::Kind::kLeakyRelu, 0.1F},
                                         {Activation::Kind::kSigmoid},   {Activation::Kind::kHardSigmoid, 0.2F, 0.5F},
                                         {Activation::Kind::kHardSwish}, {Activation::Kind::kClip, -1, 6},
                                         {Activation::Kind::kSwish}};
  Values x(4096);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = (static_cast<float>(i) - 2048) / 40;  // to +-51
  }
  for (const size_t lanes : kLanes) {
    const Ops* ops = OpsFor(lanes);
    if (ops == nullptr) {
      continue;
    }
    for (const Activation& activation : kActivations) {
      ASSERT_TRUE(ops->knows(activation.kind));
      Values expected(x.size());
      reference::Activate(activation, x, expected);
      Values y = x;
      ops->activate(&activation, 1, y.data(), y.size());
      for (size_t i = 0; i < y.size(); ++i) {
        ASSERT_NEAR(y[i], expected[i], 5e-7F * std::max(1.0F, std::abs(expected[i])))
            << static_cast<int>(activation.kind) << " of " << x[i];
      }
    }
    EXPECT_FALSE(ops->knows(Activation::Kind::kTanh));
  }
}

TEST(BlockedOpsTest, ActivationsOfHugeValuesAreFiniteAndWhatIsNoNumberStaysSo) {
  constexpr float kHuge = std::numeric_limits<float>::max();
  for (const size_t lanes : kLanes) {
    const Ops* ops = OpsFor(lanes);
    if (ops == nullptr) {
      continue;
    }
    for (const Activation::Kind kind : {Activation::Kind::kSigmoid, Activation::Kind::kSwish}) {
      Values y(16);
      y[0] = kHuge;
      y[1] = -kHuge;
      y[2] = NAN;
      y[3] = 200;
      y[4] = -200;
      const Activation activation = {kind};
      ops->activate(&activation, 1, y.data(), y.size());
      const bool swish = kind == Activation::Kind::kSwish;
      EXPECT_EQ(y[0], swish ? kHuge : 1);
      EXPECT_EQ(y[3], swish ? 200 : 1);
      EXPECT_NEAR(y[4], 0, 1e-30F);
      EXPECT_TRUE(std::isfinite(y[1]));
      EXPECT_TRUE(std::isnan(y[2]));
      EXPECT_EQ(y[5], swish ? 0 : 0.5F);
    }
  }
}

TEST(BlockedOpsTest, MatrixTimesVectorAgreesWithTheReference) {
  for (const size_t lanes : kLanes) {
    const Ops* ops = OpsFor(lanes);
    for (const auto& [inputs, outputs] : {std::pair<size_t, size_t>{1, 1}, {100, 7}, {16, 64}, {257, 33}}) {
      if (ops == nullptr) {
        continue;
      }
      GemmGeometry g;
      g.k = static_cast<int64_t>(inputs);
      g.n = static_cast<int64_t>(outputs);
      g.c_column_stride = 1;
      const Values x = RandomValues(inputs, 1);
      const Values w = RandomValues(inputs * outputs, 2);
      const Values bias = RandomValues(outputs, 3);
      for (const bool by_input : {false, true}) {
        g.b = by_input ? GemmGeometry::Operand::kPlain : GemmGeometry::Operand::kTransposed;
        const Activation relu = {Activation::Kind::kRelu};
        Values expected(outputs);
        reference::Gemm(g, x, w, bias, expected);
        reference::Activate(relu, expected, expected);
        Values y(outputs, NAN);
        ops->dense({inputs, outputs, by_input, x.data(), w.data(), {bias.data(), nullptr, &relu, 1}, y.data()});
        ExpectClose(y, expected, std::to_string(inputs) + " inputs");
        reference::Gemm(g, x, w, {}, expected);
        ops->dense({inputs, outputs, by_input, x.data(), w.data(), {}, y.data()});
        ExpectClose(y, expected, "without bias");
      }
    }
  }
}

TEST(SqueezeExciteTest, AgreesWithItsDefinition) {
  constexpr size_t kCells = 35;
  for (const size_t channels : {size_t{16}, size_t{24}, size_t{144}, size_t{7}}) {
    constexpr size_t kHidden = 6;
    const Values x = RandomValues(channels * kCells, 1);
    const Values w1 = RandomValues(kHidden * channels, 2);
    const Values b1 = RandomValues(kHidden, 3);
    const Values w2 = RandomValues(channels * kHidden, 4);
    Values expected(x.size());
    std::vector<double> hidden(kHidden);
    for (size_t h = 0; h < kHidden; ++h) {
      hidden[h] = b1[h];
      for (size_t i = 0; i < x.size(); ++i) {
        hidden[h] += static_cast<double>(w1[h * channels + i / kCells]) * x[i] / kCells;
      }
      hidden[h] = std::max(hidden[h], 0.0);
    }
    for (size_t i = 0; i < x.size(); ++i) {
      double gate = 0;
      for (size_t h = 0; h < kHidden; ++h) {
        gate += w2[i / kCells * kHidden + h] * hidden[h];
      }
      expected[i] = static_cast<float>(x[i] / (1 + std::exp(-gate)));
    }
    for (const size_t lanes : kLanes) {
      const Ops* ops = OpsFor(lanes);
      if (ops == nullptr) {
        continue;
      }
      const blocked::SqueezeExcite kernel(*ops, channels, kCells, {w1, b1, {{Activation::Kind::kRelu}}},
                                          {w2, {}, {{Activation::Kind::kSigmoid}}});
      Values y = ToBlocks(x, channels, lanes);
      Tensor scratch = Scratch(kernel.scratch_bytes());
      kernel.Run(y.data(), y.data(), scratch.mutable_bytes());
      ExpectClose(ToPlain(y, channels, lanes), expected, std::to_string(channels) + " channels");
      EXPECT_EQ(ToBlocks(ToPlain(y, channels, lanes), channels, lanes), y) << "padding is no longer zero";
    }
  }
}

}  // namespace
}  // namespace shoji::kernels
