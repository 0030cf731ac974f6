// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What calibration found for each channel (scales, corrections, roundings), in a compiled program.
#include <algorithm>
#include <cmath>
#include <string>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/quantization/program.h"
#include "tests/unit/lib/execution/graph_builder.h"
#include "tests/unit/lib/quantization/program_checks.h"

namespace shoji::quantization {
namespace {

using execution::GraphBuilder;
using graph::Op;
using graph::ValueId;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A convolution, Relu, depthwise convolution, Relu, convolution: the usual case for scales.
struct Separable {
  Separable() {
    const ValueId x = b.Input(Shape({1, 3, 9, 9}));
    first = Relu(b, b.Conv(x, 8, 3));
    second = Relu(b, b.Conv(first, 8, 3, 8));
    last = b.Conv(second, 5, 1);
    b.Output(last);
  }
  Range& RangeOf(ActivationRanges& ranges, ValueId value) { return ranges[b.graph().values[value].name]; }
  std::string ErrorFor(const ActivationRanges& ranges) {
    const auto program = Program::Compile(b.graph(), ranges, {});
    EXPECT_TRUE(absl::IsInvalidArgument(program.status()));
    return std::string(program.status().message());
  }
  GraphBuilder b;
  ValueId first = 0;
  ValueId second = 0;
  ValueId last = 0;
};

// To within `tolerance` of the largest number expected.
void ExpectClose(const Tensor& found, const Tensor& expected, float tolerance) {
  float largest = 0;
  for (const float value : expected.values<float>()) {
    largest = std::max(largest, std::abs(value));
  }
  for (size_t i = 0; i < expected.num_elements(); ++i) {
    EXPECT_NEAR(found.values<float>()[i], expected.values<float>()[i], tolerance * largest);
  }
}

TEST(QuantizedChannelsTest, ScalesOfChannelsChangeStepsAndNotNumbers) {
  Separable net;
  ActivationRanges ranges = RangesOf(net.b.graph());
  const std::vector<Tensor> inputs = RandomInputs(net.b.graph(), 3);
  const std::vector<Tensor> plain = RunChecked(*CompileOrDie(net.b.graph(), ranges), inputs);
  for (const ValueId value : {net.first, net.second}) {
    Range& range = net.RangeOf(ranges, value);
    range.max *= 4;  // room for what smaller steps would clip
    range.scales = {1, 0.5F, 0.25F, 0.75F, 0.3F, 0.25F, 0.9F, 1};
  }
  const auto program = CompileOrDie(net.b.graph(), ranges);
  const auto& step = std::get<LinearStep>(program->steps()[0].kind);
  EXPECT_EQ(program->byte_tensor(step.output)->scales.size(), 8U);
  const std::vector<Tensor> scaled = RunChecked(*program, inputs);
  ExpectClose(scaled[0], plain[0], 0.05F);
}

TEST(QuantizedChannelsTest, ScalesFollowTheirChannelsThroughPoolingAndConcatenation) {
  GraphBuilder b;
  const ValueId squeeze = Relu(b, b.Conv(b.Input(Shape({1, 3, 6, 6})), 4, 1));
  const ValueId left = Relu(b, b.Conv(squeeze, 4, 1));
  const ValueId right = Relu(b, b.Conv(squeeze, 4, 3));
  const ValueId joined = b.Node(Op::kConcat, {left, right, squeeze}, Shape({1, 12, 6, 6}), graph::AxisAttributes{1});
  b.Output(b.Conv(MaxPool2(b, joined), 3, 3));
  ActivationRanges ranges = RangesOf(b.graph());
  const std::vector<Tensor> inputs = RandomInputs(b.graph(), 3);
  const std::vector<Tensor> plain = RunChecked(*CompileOrDie(b.graph(), ranges), inputs);
  Range& range = ranges[b.graph().values[joined].name];
  range.max *= 4;
  range.scales = {1, 0.5F, 0.25F, 0.75F, 0.3F, 0.25F, 0.9F, 1, 0.25F, 0.5F, 1, 0.4F};
  const auto program = CompileOrDie(b.graph(), ranges);
  const auto& right_step = std::get<LinearStep>(program->steps()[2].kind);
  EXPECT_THAT(program->byte_tensor(right_step.output)->scales, ElementsAre(0.3F, 0.25F, 0.9F, 1));
  const std::vector<Tensor> scaled = RunChecked(*program, inputs);
  ExpectClose(scaled[0], plain[0], 0.02F);
}

TEST(QuantizedChannelsTest, CorrectionIsAddedToEveryChannel) {
  Separable net;
  ActivationRanges ranges = RangesOf(net.b.graph());
  const std::vector<Tensor> inputs = RandomInputs(net.b.graph(), 3);
  const std::vector<Tensor> plain = RunChecked(*CompileOrDie(net.b.graph(), ranges), inputs);
  net.RangeOf(ranges, net.last).correction = {0.5F, 0, -0.25F, 0, 0};
  const std::vector<Tensor> corrected = RunChecked(*CompileOrDie(net.b.graph(), ranges), inputs);
  const size_t pixels = size_t{9} * 9;
  for (size_t i = 0; i < plain[0].num_elements(); ++i) {
    const float added = i / pixels == 0 ? 0.5F : i / pixels == 2 ? -0.25F : 0;
    EXPECT_NEAR(corrected[0].values<float>()[i], plain[0].values<float>()[i] + added, 1e-3F);
  }
}

TEST(QuantizedChannelsTest, RoundingIsAddedToTheNearestWeights) {
  Separable net;
  ActivationRanges ranges = RangesOf(net.b.graph());
  const auto plain = CompileOrDie(net.b.graph(), ranges);
  std::vector<int8_t>& rounding = net.RangeOf(ranges, net.last).rounding;
  rounding.assign(40, 0);
  rounding[3] = 1;
  rounding[17] = -1;
  const auto rounded = CompileOrDie(net.b.graph(), ranges);
  const std::vector<int8_t>& before = std::get<LinearStep>(plain->steps()[2].kind).layer.weights;
  const std::vector<int8_t>& after = std::get<LinearStep>(rounded->steps()[2].kind).layer.weights;
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i], std::clamp(before[i] + rounding[i], -127, 127));
  }
}

TEST(QuantizedChannelsTest, ChannelDataThatDoesNotFitNamesTheValue) {
  Separable net;
  const ActivationRanges good = RangesOf(net.b.graph());
  const std::string first = net.b.graph().values[net.first].name;
  ActivationRanges ranges = good;
  net.RangeOf(ranges, net.first).scales = {1, 1};
  EXPECT_THAT(net.ErrorFor(ranges), HasSubstr("the range of " + first + " has 2 scales"));
  ranges = good;
  net.RangeOf(ranges, net.first).scales.assign(8, 2);
  EXPECT_THAT(net.ErrorFor(ranges), HasSubstr("the scales of " + first));
  const std::string last = net.b.graph().values[net.last].name;
  ranges = good;
  net.RangeOf(ranges, net.last).correction = {1};
  EXPECT_THAT(net.ErrorFor(ranges), HasSubstr("the range of " + last + " has 1 corrections"));
  ranges = good;
  net.RangeOf(ranges, net.last).rounding = {1};
  EXPECT_THAT(net.ErrorFor(ranges), HasSubstr("the range of " + last + " has 0 corrections and 1 roundings"));
}

}  // namespace
}  // namespace shoji::quantization
