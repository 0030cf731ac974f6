// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/program.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/lib/execution/graph_builder.h"
#include "tests/unit/lib/quantization/program_checks.h"

namespace shoji::quantization {
namespace {

using execution::GraphBuilder;
using execution::RandomTensor;
using graph::Op;
using graph::ValueId;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Steps = std::vector<std::string>;

ValueId BatchNorm(GraphBuilder& b, ValueId x) {
  const int64_t channels = b.shape(x)[1];
  Tensor variance = RandomTensor(Shape({channels}), 5);
  for (float& v : variance.mutable_values<float>()) {
    v = 0.5F + v * v;
  }
  const ValueId scale = b.Weight(Shape({channels}));
  const ValueId bias = b.Weight(Shape({channels}));
  const ValueId mean = b.Weight(Shape({channels}));
  return b.Node(Op::kBatchNorm, {x, scale, bias, mean, b.Constant(std::move(variance))}, b.shape(x),
                graph::BatchNormAttributes());
}

ValueId Gemm(GraphBuilder& b, ValueId x, int64_t out, graph::GemmAttributes attributes = {}) {
  const Shape in = b.shape(x);
  const ValueId w = b.Weight(attributes.trans_b ? Shape({out, in[1]}) : Shape({in[1], out}));
  return b.Node(Op::kGemm, {x, w, b.Weight(Shape({out}))}, Shape({in[0], out}), attributes);
}

ValueId GlobalAverage(GraphBuilder& b, ValueId x) {
  const Shape in = b.shape(x);
  return b.Node(Op::kGlobalAveragePool, {x}, Shape({in[0], in[1], 1, 1}), graph::PoolAttributes());
}

ValueId Flatten(GraphBuilder& b, ValueId x) {
  return b.Node(Op::kReshape, {x}, Shape({1, static_cast<int64_t>(b.shape(x).num_elements())}));
}

Steps StepsOf(GraphBuilder& b) { return Describe(*CompileOrDie(b.graph(), RangesOf(b.graph())), b.graph()); }

TEST(QuantizedProgramTest, ConvWithNormalizationReluAndPoolingIsOneStep) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 3, 10, 14}));
  const ValueId pooled = MaxPool2(b, Relu(b, BatchNorm(b, b.Conv(x, 8, 3))));
  b.Output(b.Conv(pooled, 5, 3));
  EXPECT_THAT(StepsOf(b), ElementsAre("linear n0 +pool", "linear n4 float"));
  ExpectGoodProgram(b.graph(), 0.03F);
}

TEST(QuantizedProgramTest, PoolingThatSomebodyElseReadsAroundIsAStepOfItsOwn) {
  GraphBuilder b;
  const ValueId relu = Relu(b, b.Conv(b.Input(Shape({1, 4, 8, 8})), 6, 3));
  b.Output(b.Conv(MaxPool2(b, relu), 5, 1));
  b.Output(b.Conv(relu, 3, 1));
  EXPECT_THAT(StepsOf(b), ElementsAre("linear n0", "local n2", "linear n3 float", "linear n4 float"));
  ExpectGoodProgram(b.graph(), 0.03F);
}

TEST(QuantizedProgramTest, ResidualSumIsRoundedOnce) {
  GraphBuilder b;
  const ValueId first = Relu(b, b.Conv(b.Input(Shape({1, 3, 9, 7})), 6, 3));
  const ValueId second = b.Conv(first, 6, 3);
  const ValueId sum = Relu(b, b.Node(Op::kAdd, {second, first}, b.shape(second)));
  b.Output(Gemm(b, Flatten(b, GlobalAverage(b, sum)), 4));
  EXPECT_THAT(StepsOf(b),
              ElementsAre("linear n0", "linear n2 float", "local n4", "local n5", "local n6", "linear n7 float"));
  ExpectGoodProgram(b.graph(), 0.04F);
}

TEST(QuantizedProgramTest, GroupsStridesDilationsAndUnevenPadsAreExact) {
  struct Case {
    int64_t in, out, group;
    graph::ConvAttributes attributes;
    Shape output;
  };
  const Case cases[] = {
      {6, 6, 6, {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 6}, Shape({1, 6, 9, 11})},
      {6, 12, 6, {{3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 6}, Shape({1, 12, 5, 6})},
      {6, 4, 2, {{3, 2}, {1, 2}, {2, 1}, {2, 0, 1, 1}, 2}, Shape({1, 4, 8, 6})},
      {6, 5, 1, {{5, 5}, {3, 3}, {1, 1}, {2, 2, 2, 2}, 1}, Shape({1, 5, 3, 4})},
  };
  for (const Case& c : cases) {
    GraphBuilder b;
    const ValueId x = b.Input(Shape({1, c.in, 9, 11}));
    const ValueId w = b.Weight(Shape({c.out, c.in / c.group, c.attributes.kernel[0], c.attributes.kernel[1]}));
    const ValueId y = b.Node(Op::kConv, {x, w, b.Weight(Shape({c.out}))}, c.output, c.attributes);
    b.Output(b.Conv(Relu(b, y), 3, 1));
    b.Output(y);
    ExpectGoodProgram(b.graph(), 0.04F, "group " + std::to_string(c.group));
  }
}

TEST(QuantizedProgramTest, FlatteningKeepsTheOrderOfOnnx) {
  GraphBuilder b;
  const ValueId conv = Relu(b, b.Conv(b.Input(Shape({1, 3, 4, 5})), 6, 3));
  b.Output(Gemm(b, Flatten(b, conv), 7));
  EXPECT_THAT(StepsOf(b), ElementsAre("linear n0", "local n2", "linear n3 float"));
  ExpectGoodProgram(b.graph(), 0.03F);
}

TEST(QuantizedProgramTest, GemmAttributesGoIntoTheLayer) {
  for (const bool trans_b : {false, true}) {
    GraphBuilder b;
    graph::GemmAttributes attributes;
    attributes.alpha = 0.3F;
    attributes.beta = -2;
    attributes.trans_b = trans_b;
    b.Output(Gemm(b, Relu(b, Gemm(b, b.Input(Shape({3, 10})), 6, attributes)), 5, attributes));
    ExpectGoodProgram(b.graph(), 0.03F, trans_b ? "transposed" : "plain");
  }
}

TEST(QuantizedProgramTest, SeveralRowsComeOutRowByRow) {
  GraphBuilder b;
  b.Output(Gemm(b, b.Input(Shape({4, 10})), 6));
  EXPECT_THAT(StepsOf(b), ElementsAre("linear n0 float"));
  ExpectGoodProgram(b.graph(), 0.02F);
}

TEST(QuantizedProgramTest, MatMulTakesTheSumThatFollowsAsItsBias) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 3, 10}));
  const ValueId product = b.Node(Op::kMatMul, {x, b.Weight(Shape({10, 6}))}, Shape({1, 3, 6}));
  const ValueId sum = b.Node(Op::kAdd, {product, b.Weight(Shape({6}))}, Shape({1, 3, 6}));
  b.Output(b.Node(Op::kMatMul, {Relu(b, sum), b.Weight(Shape({6, 4}))}, Shape({1, 3, 4})));
  EXPECT_THAT(StepsOf(b), ElementsAre("linear n0", "linear n3 float"));
  ExpectGoodProgram(b.graph(), 0.03F);
}

TEST(QuantizedProgramTest, ConstantsAChannelAfterALayerGoIntoIt) {
  GraphBuilder b;
  const ValueId conv = b.Conv(b.Input(Shape({1, 3, 6, 6})), 8, 3);
  const ValueId scaled = b.Node(Op::kMul, {b.Weight(Shape({8, 1, 1})), conv}, b.shape(conv));
  const ValueId shifted = b.Node(Op::kSub, {scaled, b.Weight(Shape({1, 8, 1, 1}))}, b.shape(conv));
  const ValueId turned = b.Node(Op::kSub, {b.Weight(Shape({1})), shifted}, b.shape(conv));
  b.Output(turned);
  EXPECT_THAT(StepsOf(b), ElementsAre("linear n0 float"));
  ExpectGoodProgram(b.graph(), 0.02F);
}

TEST(QuantizedProgramTest, ConcatenatedBranchesShareTheirParameters) {
  GraphBuilder b;
  const ValueId squeeze = Relu(b, b.Conv(b.Input(Shape({1, 3, 6, 6})), 4, 1));
  const ValueId left = Relu(b, b.Conv(squeeze, 5, 1));
  const ValueId right = Relu(b, b.Conv(squeeze, 6, 3));
  const ValueId joined = b.Node(Op::kConcat, {left, right, squeeze}, Shape({1, 15, 6, 6}), graph::AxisAttributes{1});
  b.Output(b.Conv(joined, 3, 3));
  ExpectGoodProgram(b.graph(), 0.03F);
  const auto program = CompileOrDie(b.graph(), RangesOf(b.graph()));
  const auto& left_step = std::get<LinearStep>(program->steps()[1].kind);
  const auto& right_step = std::get<LinearStep>(program->steps()[2].kind);
  EXPECT_EQ(program->byte_tensor(left_step.output)->parameters, program->byte_tensor(right_step.output)->parameters);
}

TEST(QuantizedProgramTest, SqueezeAndExcitationScalesChannels) {
  GraphBuilder b;
  const ValueId x = Relu(b, b.Conv(b.Input(Shape({1, 3, 8, 8})), 6, 3));
  const ValueId small = Relu(b, b.Conv(GlobalAverage(b, x), 2, 1));
  const ValueId gate =
      b.Node(Op::kHardSigmoid, {b.Conv(small, 6, 1)}, Shape({1, 6, 1, 1}), graph::FloatAttributes{0.2F, 0.5F});
  const ValueId scaled = b.Node(Op::kMul, {x, gate}, b.shape(x));
  b.Output(b.Conv(scaled, 4, 1));
  ExpectGoodProgram(b.graph(), 0.04F);
}

TEST(QuantizedProgramTest, ActivationsOtherThanClampsSeeTheNumberBeforeItIsRounded) {
  for (const Op op : {Op::kSigmoid, Op::kTanh, Op::kHardSwish, Op::kLeakyRelu}) {
    GraphBuilder b;
    const ValueId conv = b.Conv(b.Input(Shape({1, 3, 5, 5})), 6, 3);
    b.Output(b.Conv(b.Node(op, {conv}, b.shape(conv), graph::FloatAttributes{0.1F, 0}), 4, 1));
    EXPECT_THAT(StepsOf(b), ElementsAre("linear n0 float", "local n1", "linear n2 float"));
    ExpectGoodProgram(b.graph(), 0.04F, graph::NameOf(op));
  }
}

TEST(QuantizedProgramTest, ValueTimesItsOwnSigmoidIsOneStep) {
  GraphBuilder b;
  const ValueId conv = b.Conv(b.Input(Shape({1, 3, 5, 5})), 6, 3);
  const ValueId gate = b.Node(Op::kSigmoid, {conv}, b.shape(conv));
  b.Output(b.Conv(b.Node(Op::kMul, {conv, gate}, b.shape(conv)), 4, 1));
  EXPECT_THAT(StepsOf(b), ElementsAre("linear n0 float", "local n2", "linear n3 float"));
  ExpectGoodProgram(b.graph(), 0.03F);
}

TEST(QuantizedProgramTest, ClipIsPartOfTheLayer) {
  GraphBuilder b;
  const ValueId conv = b.Conv(b.Input(Shape({1, 3, 5, 5})), 6, 3);
  b.Output(b.Conv(b.Node(Op::kClip, {conv}, b.shape(conv), graph::FloatAttributes{-0.5F, 0.75F}), 4, 1));
  EXPECT_THAT(StepsOf(b), ElementsAre("linear n0", "linear n2 float"));
  ExpectGoodProgram(b.graph(), 0.03F);
  // With a range that is wider than the clip, the bounds lie inside the bytes.
  ActivationRanges ranges = RangesOf(b.graph());
  ranges[b.graph().values[b.graph().nodes[1].outputs[0]].name] = {-1, 1};
  const auto program = CompileOrDie(b.graph(), ranges);
  const LinearLayer& layer = std::get<LinearStep>(program->steps()[0].kind).layer;
  EXPECT_NEAR(layer.output_min, layer.output_zero_point - 0.5 * 127.5, 1);
  EXPECT_NEAR(layer.output_max, layer.output_zero_point + 0.75 * 127.5, 1);
}

TEST(QuantizedProgramTest, WhatOnlyFloatOperatorsReadStaysFloat) {
  GraphBuilder b;
  const ValueId logits = Gemm(b, b.Input(Shape({1, 10})), 6);
  b.Output(b.Node(Op::kSoftmax, {logits}, Shape({1, 6}), graph::AxisAttributes{1}));
  EXPECT_THAT(StepsOf(b), ElementsAre("linear n0 float", "local n1"));
  ExpectGoodProgram(b.graph(), 0.02F);
  // No range but the input's is needed.
  const ActivationRanges ranges = {{b.graph().values[b.graph().inputs[0]].name, {-1, 1}}};
  EXPECT_TRUE(Program::Compile(b.graph(), ranges, {}).ok());
}

TEST(QuantizedProgramTest, OperatorsWithoutAKernelOfTheirOwnRunInFloat) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 4, 6}));
  const ValueId y = b.Input(Shape({1, 6, 4}));
  const ValueId product = b.Node(Op::kMatMul, {x, y}, Shape({1, 4, 4}));  // of two activations
  const ValueId attention = b.Node(Op::kSoftmax, {product}, Shape({1, 4, 4}), graph::AxisAttributes{2});
  const ValueId quotient =
      b.Node(Op::kDiv, {attention, b.Constant(RandomTensor(Shape({1, 4, 1}), 3))}, Shape({1, 4, 4}));
  b.Output(b.Node(Op::kMatMul, {attention, b.Weight(Shape({4, 3}))}, Shape({1, 4, 3})));
  b.Output(quotient);
  EXPECT_THAT(StepsOf(b), ElementsAre("local n0", "local n1", "local n2", "linear n3 float"));
  ExpectGoodProgram(b.graph(), 0.02F);
}

TEST(QuantizedProgramTest, EveryOperatorRunsBetweenTwoLayers) {
  struct Case {
    const char* name;
    ValueId (*make)(GraphBuilder&, ValueId);  // of [1,6,8,8]
  };
  const Case cases[] = {
      {"normalization before a branch",
       [](GraphBuilder& b, ValueId x) {
         const ValueId sum = b.Node(Op::kAdd, {x, x}, b.shape(x));
         return Relu(b, BatchNorm(b, sum));
       }},
      {"difference",
       [](GraphBuilder& b, ValueId x) {
         return b.Node(Op::kSub, {Relu(b, x), x}, b.shape(x));
       }},
      {"product",
       [](GraphBuilder& b, ValueId x) {
         return b.Node(Op::kMul, {x, Relu(b, x)}, b.shape(x));
       }},
      {"constant minus value",
       [](GraphBuilder& b, ValueId x) {
         const ValueId relu = Relu(b, b.Node(Op::kTanh, {x}, b.shape(x)));
         return b.Node(Op::kSub, {b.Weight(Shape({1, 6, 1, 1})), relu}, b.shape(x));
       }},
      {"value over constant",
       [](GraphBuilder& b, ValueId x) {
         const std::vector<float> two = {2};
         const ValueId relu = b.Node(Op::kTanh, {x}, b.shape(x));
         return b.Node(Op::kDiv, {relu, b.Constant(Tensor::Of<float>(Shape({1}), two))}, b.shape(x));
       }},
      {"gate a pixel",
       [](GraphBuilder& b, ValueId x) {
         const ValueId gate = b.Node(Op::kSigmoid, {b.Conv(x, 1, 1)}, Shape({1, 1, 8, 8}));
         return b.Node(Op::kMul, {gate, x}, b.shape(x));
       }},
      {"overlapping pooling",
       [](GraphBuilder& b, ValueId x) {
         graph::PoolAttributes pool;
         pool.kernel = {3, 3};
         pool.strides = {2, 2};
         pool.pads = {1, 1, 1, 1};
         return b.Node(Op::kMaxPool, {b.Node(Op::kTanh, {x}, b.shape(x))}, Shape({1, 6, 4, 4}), pool);
       }},
      {"average without its padding",
       [](GraphBuilder& b, ValueId x) {
         graph::PoolAttributes pool;
         pool.kernel = {3, 3};
         pool.strides = {2, 2};
         pool.pads = {1, 1, 1, 1};
         return b.Node(Op::kAveragePool, {x}, Shape({1, 6, 4, 4}), pool);
       }},
      {"average with its padding",
       [](GraphBuilder& b, ValueId x) {
         graph::PoolAttributes pool;
         pool.kernel = {3, 3};
         pool.strides = {2, 2};
         pool.pads = {1, 1, 1, 1};
         pool.count_include_pad = true;
         return b.Node(Op::kAveragePool, {x}, Shape({1, 6, 4, 4}), pool);
       }},
      {"mean over height and width",
       [](GraphBuilder& b, ValueId x) {
         return b.Node(Op::kReduceMean, {x}, Shape({1, 6, 1, 1}), graph::ReduceAttributes{{2, 3}, true});
       }},
      {"crop",
       [](GraphBuilder& b, ValueId x) {
         return b.Node(Op::kSlice, {x}, Shape({1, 3, 4, 8}), graph::SliceAttributes{{0, 1, 7, 0}, {1, 2, -2, 1}});
       }},
      {"padding with 0",
       [](GraphBuilder& b, ValueId x) {
         return b.Node(Op::kPad, {x}, Shape({1, 8, 9, 6}), graph::PadAttributes{{0, 1, 0, -1}, {0, 1, 1, -1}, 0});
       }},
      {"padding with 1",
       [](GraphBuilder& b, ValueId x) {
         return b.Node(Op::kPad, {x}, Shape({1, 6, 10, 8}), graph::PadAttributes{{0, 0, 1, 0}, {0, 0, 1, 0}, 1});
       }},
      {"height and width exchanged",
       [](GraphBuilder& b, ValueId x) {
         return b.Node(Op::kTranspose, {x}, Shape({1, 8, 6, 8}), graph::TransposeAttributes{{0, 3, 1, 2}});
       }},
      {"channels shuffled",
       [](GraphBuilder& b, ValueId x) {
         const ValueId split = b.Node(Op::kReshape, {x}, Shape({1, 2, 3, 8, 8}));
         const ValueId turned =
             b.Node(Op::kTranspose, {split}, Shape({1, 3, 2, 8, 8}), graph::TransposeAttributes{{0, 2, 1, 3, 4}});
         return b.Node(Op::kReshape, {turned}, Shape({1, 6, 8, 8}));
       }},
      {"concatenation along the height",
       [](GraphBuilder& b, ValueId x) {
         return b.Node(Op::kConcat, {x, Relu(b, x)}, Shape({1, 6, 16, 8}), graph::AxisAttributes{2});
       }},
  };
  for (const Case& c : cases) {
    GraphBuilder b;
    const ValueId x = b.Conv(b.Input(Shape({1, 3, 8, 8})), 6, 3);
    b.Output(b.Conv(c.make(b, x), 4, 1));
    ExpectGoodProgram(b.graph(), 0.06F, c.name);
  }
}

TEST(QuantizedProgramTest, OutputThatIsReadAsBytesIsGivenOutAsFloat) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 3, 5, 5}));
  const ValueId middle = Relu(b, b.Conv(x, 6, 3));
  b.Output(middle);
  b.Output(b.Conv(middle, 2, 3));
  b.Output(x);
  b.Output(b.Weight(Shape({2, 2})));
  ExpectGoodProgram(b.graph(), 0.03F);
  const std::vector<Tensor> inputs = RandomInputs(b.graph(), 1);
  const std::vector<Tensor> outputs = RunChecked(*CompileOrDie(b.graph(), RangesOf(b.graph())), inputs);
  EXPECT_TRUE(std::equal(outputs[2].bytes().begin(), outputs[2].bytes().end(), inputs[0].bytes().begin()))
      << "an input that is an output passes unchanged";
}

TEST(QuantizedProgramTest, SumThatAlsoGoesOutAsBytesIsGivenInBothForms) {
  GraphBuilder b;
  const ValueId first = b.Conv(b.Input(Shape({1, 3, 9, 7})), 6, 3);
  const ValueId sum = b.Node(Op::kAdd, {b.Conv(first, 6, 3), first}, b.shape(first));
  const ValueId gate = b.Node(Op::kSigmoid, {b.Conv(GlobalAverage(b, sum), 6, 1)}, Shape({1, 6, 1, 1}));
  b.Output(b.Conv(b.Node(Op::kMul, {gate, sum}, b.shape(sum)), 4, 1));
  b.Output(sum);
  ExpectGoodProgram(b.graph(), 0.05F);
}

TEST(QuantizedProgramTest, EveryActivationRunsBetweenTwoLayers) {
  for (const Op op : {Op::kElu, Op::kSoftplus, Op::kAbs, Op::kErf, Op::kHardSigmoid, Op::kTanh}) {
    GraphBuilder b;
    const ValueId conv = b.Conv(b.Input(Shape({1, 3, 5, 5})), 7, 3);
    b.Output(b.Conv(b.Node(op, {conv}, b.shape(conv), graph::FloatAttributes{0.3F, 0.5F}), 4, 1));
    ExpectGoodProgram(b.graph(), 0.05F, graph::NameOf(op));
  }
}

TEST(QuantizedProgramTest, PartWithoutLinearLayersNeedsNoRanges) {
  GraphBuilder b;
  b.Output(b.Node(Op::kSigmoid, {b.Input(Shape({2, 3}))}, Shape({2, 3})));
  const auto program = Program::Compile(b.graph(), {}, {});
  ASSERT_TRUE(program.ok()) << program.status();
  ExpectGoodProgram(b.graph(), 1e-6F);
}

TEST(QuantizedProgramTest, DeadLayersAreLeftOut) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 3, 5, 5}));
  b.Conv(x, 6, 3);
  b.Output(b.Conv(x, 2, 3));
  EXPECT_THAT(StepsOf(b), ElementsAre("linear n1 float"));
}

TEST(QuantizedProgramTest, MissingRangeNamesTheValue) {
  GraphBuilder b;
  const ValueId middle = Relu(b, b.Conv(b.Input(Shape({1, 3, 5, 5})), 6, 3));
  b.Output(b.Conv(middle, 2, 3));
  ActivationRanges ranges = RangesOf(b.graph());
  const std::string name = b.graph().values[middle].name;
  ranges.erase(name);
  const auto program = Program::Compile(b.graph(), ranges, {});
  EXPECT_TRUE(absl::IsInvalidArgument(program.status()));
  EXPECT_THAT(std::string(program.status().message()), HasSubstr("value " + name + " has no calibrated range"));
}

TEST(QuantizedProgramTest, RangeThatIsUpsideDownIsRefused) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 3, 5, 5}));
  b.Output(b.Conv(x, 2, 3));
  const auto program = Program::Compile(b.graph(), {{b.graph().values[x].name, {1, -1}}}, {});
  EXPECT_TRUE(absl::IsInvalidArgument(program.status()));
}

TEST(QuantizedProgramTest, LayerThatFitsNoRingIsNamed) {
  GraphBuilder b;
  const std::vector<float> ones(140'000, 1.0F);
  const ValueId x = b.Input(Shape({1, 140'000}));
  b.Output(b.Node(Op::kGemm, {x, b.Constant(Tensor::Of<float>(Shape({140'000, 1}), ones))}, Shape({1, 1}),
                  graph::GemmAttributes()));
  const auto program = Program::Compile(b.graph(), {{b.graph().values[x].name, {-1, 1}}}, {});
  EXPECT_TRUE(absl::IsInvalidArgument(program.status()));
  EXPECT_THAT(std::string(program.status().message()), HasSubstr("layer n0: its sums span"));
}

TEST(QuantizedProgramTest, WeightsThatAreNotFiniteNameTheLayer) {
  GraphBuilder b;
  Tensor w = RandomTensor(Shape({2, 3, 1, 1}), 1);
  w.mutable_values<float>()[4] = std::nanf("");
  const ValueId x = b.Input(Shape({1, 3, 4, 4}));
  b.Output(b.Node(Op::kConv, {x, b.Constant(std::move(w))}, Shape({1, 2, 4, 4}), graph::ConvAttributes()));
  const auto program = Program::Compile(b.graph(), {{b.graph().values[x].name, {-1, 1}}}, {});
  EXPECT_TRUE(absl::IsInvalidArgument(program.status()));
  EXPECT_THAT(std::string(program.status().message()), HasSubstr("layer n0"));
}

TEST(QuantizedProgramTest, MalformedGraphIsRefused) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 3, 4, 4}));
  b.Output(b.Node(Op::kConv, {x, b.Weight(Shape({2, 4, 1, 1}))}, Shape({1, 2, 4, 4}), graph::ConvAttributes()));
  EXPECT_TRUE(absl::IsInvalidArgument(Program::Compile(b.graph(), {}, {}).status()));
}

TEST(QuantizedProgramTest, InputsOfAnotherShapeAreRefused) {
  GraphBuilder b;
  b.Output(b.Conv(b.Input(Shape({1, 3, 5, 5})), 2, 3));
  const auto program = CompileOrDie(b.graph(), RangesOf(b.graph()));
  const auto frame = program->NewFrame();
  const Tensor wrong(DataType::kFloat32, Shape({1, 3, 5, 4}));
  const Tensor bytes(DataType::kUint8, Shape({1, 3, 5, 5}));
  for (const Tensor* input : {&wrong, &bytes, static_cast<const Tensor*>(nullptr)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(program->Begin({&input, 1}, *frame)));
  }
  EXPECT_TRUE(absl::IsInvalidArgument(program->Begin({}, *frame)));
}

TEST(QuantizedProgramTest, WipeLeavesNothingOfTheInput) {
  GraphBuilder b;
  b.Output(b.Conv(b.Input(Shape({1, 3, 5, 5})), 2, 3));
  const auto program = CompileOrDie(b.graph(), RangesOf(b.graph()));
  const auto frame = program->NewFrame();
  const std::vector<Tensor> inputs = RandomInputs(b.graph(), 1);
  const Tensor* input = &inputs[0];
  ASSERT_TRUE(program->Begin({&input, 1}, *frame).ok());
  const auto& step = std::get<LinearStep>(program->steps()[0].kind);
  const std::span<const uint8_t> bytes = frame->bytes(step.input);
  EXPECT_NE(std::count(bytes.begin(), bytes.end(), 0), static_cast<ptrdiff_t>(bytes.size()));
  frame->Wipe();
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 0), static_cast<ptrdiff_t>(bytes.size()));
}

TEST(QuantizedProgramTest, RunsAtTheSameTimeDoNotDisturbEachOther) {
  GraphBuilder b;
  const ValueId first = Relu(b, b.Conv(b.Input(Shape({1, 3, 16, 16})), 6, 3));
  b.Output(Gemm(b, Flatten(b, MaxPool2(b, first)), 10));
  const auto program = CompileOrDie(b.graph(), RangesOf(b.graph()), kernels::ring::BestIsa());
  std::vector<std::vector<float>> expected(4);
  for (unsigned i = 0; i < 4; ++i) {
    const std::vector<Tensor> outputs = RunChecked(*program, RandomInputs(b.graph(), i));
    expected[i].assign(outputs[0].values<float>().begin(), outputs[0].values<float>().end());
  }
  std::vector<int> num_wrong(4);
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const auto frame = program->NewFrame();
      const std::vector<Tensor> inputs = RandomInputs(b.graph(), i);
      const Tensor* input = &inputs[0];
      for (int run = 0; run < 50; ++run) {
        bool ok = program->Begin({&input, 1}, *frame).ok();
        for (size_t s = 0; s < program->steps().size(); ++s) {
          ok = ok && program->RunStep(s, *frame).ok();
        }
        const std::vector<Tensor> outputs = program->Finish(*frame);
        ok = ok && std::equal(expected[i].begin(), expected[i].end(), outputs[0].values<float>().begin());
        num_wrong[i] += ok ? 0 : 1;
      }
    });
  }
  threads.clear();
  EXPECT_THAT(num_wrong, ElementsAre(0, 0, 0, 0));
}

}  // namespace
}  // namespace shoji::quantization
