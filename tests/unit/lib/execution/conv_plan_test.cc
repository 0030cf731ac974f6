// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/execution/conv_plan.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "lib/kernels/blocked/convolution.h"
#include "tests/unit/lib/execution/graph_builder.h"

namespace shoji::execution {
namespace {

using graph::ValueId;

const kernels::blocked::Ops* AnyOps() {
  const kernels::blocked::Ops* wide = kernels::blocked::OpsFor(16);
  return wide != nullptr ? wide : kernels::blocked::OpsFor(8);
}

class ConvPlanTest : public testing::Test {
 protected:
  void SetUp() override {
    if (AnyOps() == nullptr) {
      GTEST_SKIP() << "this CPU has no kernels of our own";
    }
  }
};

TEST_F(ConvPlanTest, LargeImagesOfManyChannelsTakeLargeTiles) {
  GraphBuilder b;
  b.Output(b.Conv(b.Input(Shape({1, 64, 56, 56})), 64, 3));
  EXPECT_EQ(PlanConvolutions(AnyOps(), b.graph())[0], ConvForm::kWinograd4);
}

TEST_F(ConvPlanTest, NothingIsTransformedWhereThatSavesNoTime) {
  GraphBuilder b;
  const ValueId x = b.Conv(b.Input(Shape({1, 3, 32, 32})), 16, 3);  // few channels
  const ValueId y = b.Conv(x, 16, 1);                               // no 3x3
  b.Output(b.Conv(y, 16, 3, 16));                                   // each channel by itself
  const std::vector<ConvForm> forms = PlanConvolutions(AnyOps(), b.graph());
  EXPECT_EQ(std::count(forms.begin(), forms.end(), ConvForm::kDirect), 3);
}

TEST_F(ConvPlanTest, WithoutKernelsOfOurOwnAllAreDirect) {
  GraphBuilder b;
  b.Output(b.Conv(b.Input(Shape({1, 64, 56, 56})), 64, 3));
  EXPECT_EQ(PlanConvolutions(nullptr, b.graph())[0], ConvForm::kDirect);
}

// Elements of all weights beyond those of direct convolutions.
int64_t GrowthOf(const graph::Graph& graph, const std::vector<ConvForm>& forms) {
  int64_t growth = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Shape& w = graph.values[graph.nodes[i].inputs[1]].shape;
    growth += w[0] * w[1] * (forms[i] == ConvForm::kWinograd4 ? 27 : forms[i] == ConvForm::kWinograd2 ? 7 : 0);
  }
  return growth;
}

TEST_F(ConvPlanTest, WeightsGrowOnlyToTheLimit) {
  GraphBuilder b;
  ValueId v = b.Input(Shape({1, 256, 28, 28}));
  for (int i = 0; i < 12; ++i) {
    v = b.Conv(v, 256, 3);
  }
  b.Output(v);
  const std::vector<ConvForm> forms = PlanConvolutions(AnyOps(), b.graph());
  const int64_t growth = GrowthOf(b.graph(), forms);
  EXPECT_LE(growth, int64_t{8} << 20);
  EXPECT_GT(growth, int64_t{6} << 20) << "the limit is not made use of";
  EXPECT_EQ(forms, PlanConvolutions(AnyOps(), b.graph()));
}

}  // namespace
}  // namespace shoji::execution
