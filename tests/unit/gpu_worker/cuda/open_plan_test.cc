// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/open_plan.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu_worker/cuda/open_tiling.h"
#include "tests/unit/gpu_worker/cuda/host_machine.h"
#include "tests/unit/gpu_worker/cuda/segments.h"
#include "tests/unit/lib/execution/program_checks.h"

namespace shoji::accelerator::open_segment {
namespace {

using execution::GraphBuilder;
using graph::Op;
using graph::ValueId;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Against the reference kernels, within 1e-4 of the largest value.
void ExpectSame(std::span<const Tensor> actual, std::span<const Tensor> expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].shape(), expected[i].shape());
    float largest = 1e-3F;
    for (const float value : expected[i].values<float>()) {
      largest = std::max(largest, std::abs(value));
    }
    for (size_t j = 0; j < actual[i].num_elements(); ++j) {
      ASSERT_NEAR(actual[i].values<float>()[j], expected[i].values<float>()[j], 1e-4F * largest) << i << " at " << j;
    }
  }
}

TEST(OpenPlanTest, EveryFormGivesWhatTheReferenceKernelsGive) {
  for (const Segment& segment : AllForms()) {
    SCOPED_TRACE(segment.name);
    const auto plan = PlanOpenModel(segment.graph, {});
    ASSERT_TRUE(plan.ok()) << plan.status();
    const auto reference = execution::Compile(segment.graph, execution::Backend::kReference);
    ASSERT_NE(reference, nullptr);
    const std::vector<Tensor> inputs = execution::RandomInputs(*reference, 7);
    const auto workspace = reference->NewWorkspace();
    HostMachine machine(*plan);
    ExpectSame(machine.Run(inputs), execution::RunProgram(*reference, inputs, *workspace));
  }
}

// On a device of one multiprocessor nothing is cut along k, on one of very many all that can be is.
TEST(OpenPlanTest, FormsGiveTheSameHoweverTheyAreCut) {
  for (const Segment& segment : AllForms()) {
    SCOPED_TRACE(segment.name);
    const auto whole = PlanOpenModel(segment.graph, {.num_multiprocessors = 1});
    const auto cut = PlanOpenModel(segment.graph, {.num_multiprocessors = 5000});
    ASSERT_TRUE(whole.ok() && cut.ok());
    std::vector<Tensor> inputs;
    for (const execution::TensorType& type : whole->inputs) {
      inputs.push_back(execution::RandomTensor(type.shape, 3));
    }
    ExpectSame(HostMachine(*cut).Run(inputs), HostMachine(*whole).Run(inputs));
  }
}

size_t NumKernels(const graph::Graph& graph) {
  const auto plan = PlanOpenModel(graph, {});
  EXPECT_TRUE(plan.ok()) << plan.status();
  std::vector<uint8_t> arena(plan->arena_bytes);
  std::vector<uint8_t> constants(plan->constant_bytes);
  return plan->Bind(arena.data(), constants.data()).size();
}

TEST(OpenPlanTest, ALayerWithWhatFollowsItIsOneKernel) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 64, 56, 56}));
  const ValueId sum = b.Node(Op::kAdd, {b.Conv(x, 64, 3), x}, b.shape(x));
  b.Output(b.Node(Op::kRelu, {sum}, b.shape(x)));
  EXPECT_LE(NumKernels(b.graph()), 2U);  // the second adds parts of sums
}

TEST(OpenPlanTest, PartsOfAConcatenationAreComputedWhereItLies) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 8, 6, 6}));
  const ValueId y = b.Node(Op::kRelu, {x}, b.shape(x));
  const ValueId z = b.Node(Op::kNeg, {x}, b.shape(x));
  b.Output(b.Node(Op::kConcat, {y, z}, Shape({1, 16, 6, 6}), graph::AxisAttributes{1}));
  EXPECT_EQ(NumKernels(b.graph()), 2U);
}

graph::Graph OneConv() {
  GraphBuilder b;
  b.Output(b.Conv(b.Input(Shape({1, 4, 8, 8})), 8, 3));
  return std::move(b.graph());
}

TEST(OpenPlanTest, RefusesWhatTakesMoreMemoryThanAllowed) {
  const auto plan = PlanOpenModel(OneConv(), {});
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(PlanOpenModel(OneConv(), {.max_arena_bytes = plan->arena_bytes}).ok());
  const absl::Status arena = PlanOpenModel(OneConv(), {.max_arena_bytes = plan->arena_bytes - 1}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(arena)) << arena;
  EXPECT_TRUE(PlanOpenModel(OneConv(), {.max_constant_bytes = plan->constant_bytes}).ok());
  const absl::Status constants = PlanOpenModel(OneConv(), {.max_constant_bytes = plan->constant_bytes - 1}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(constants)) << constants;
  EXPECT_TRUE(PlanOpenModel(OneConv(), {.max_memory_bytes = plan->MemoryBytes(1)}).ok());
  const absl::Status all = PlanOpenModel(OneConv(), {.max_memory_bytes = plan->MemoryBytes(1) - 1}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(all)) << all;
}

// Of a few values only, and thousands of kernels: a part of a concatenation is a kernel.
TEST(OpenPlanTest, CountsTheKernelsOfEveryRunAsMemory) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 1}));
  for (int node = 0; node < 4; ++node) {
    b.Output(b.Node(Op::kConcat, std::vector<ValueId>(1024, x), Shape({1, 1024}), graph::AxisAttributes{1}));
  }
  const auto plan = PlanOpenModel(b.graph(), {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->num_kernels, 4096U);
  EXPECT_LT(plan->arena_bytes, 100'000U);
  const size_t one = plan->WorkspaceBytes();
  EXPECT_EQ(one, plan->arena_bytes + 4096 * (sizeof(Kernel) + kGraphNodeBytes));
  EXPECT_EQ(plan->MemoryBytes(3), plan->constant_bytes + 3 * one);
  EXPECT_EQ(plan->NumWorkspaces(4, 3 * one), 3U);
  EXPECT_EQ(plan->NumWorkspaces(4, 9 * one), 4U);
  EXPECT_EQ(plan->NumWorkspaces(4, 1), 1U) << "none could run otherwise";
  const absl::Status over = PlanOpenModel(b.graph(), {.max_memory_bytes = size_t{4} << 20}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(over)) << over;
}

TEST(OpenPlanTest, BindsAsManyKernelsAsItCounts) {
  for (const Segment& segment : AllForms()) {
    SCOPED_TRACE(segment.name);
    const auto plan = PlanOpenModel(segment.graph, {});
    ASSERT_TRUE(plan.ok()) << plan.status();
    std::vector<uint8_t> arena(plan->arena_bytes);
    std::vector<uint8_t> constants(plan->constant_bytes);
    EXPECT_EQ(plan->Bind(arena.data(), constants.data()).size(), plan->num_kernels);
  }
}

void ExpectUnimplemented(const graph::Graph& graph, const std::string& op, const OpenPlanOptions& options = {}) {
  const absl::Status status = PlanOpenModel(graph, options).status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("node n0"), HasSubstr(op)));
}

TEST(OpenPlanTest, RefusesFormsThatNoKernelRunsByNodeAndOperator) {
  GraphBuilder c;
  const ValueId a = c.Input(Shape({2, 3}));
  c.Output(
      c.Node(Op::kGemm, {a, c.Weight(Shape({3, 4})), c.Input(Shape({2, 4}))}, Shape({2, 4}), graph::GemmAttributes()));
  ExpectUnimplemented(c.graph(), "Gemm");

  GraphBuilder norm;
  const ValueId x = norm.Input(Shape({1, 2, 3, 3}));
  const ValueId p = norm.Input(Shape({2}));
  norm.Output(norm.Node(Op::kBatchNorm, {x, p, p, p, p}, norm.shape(x), graph::BatchNormAttributes()));
  ExpectUnimplemented(norm.graph(), "BatchNormalization");

  GraphBuilder empty;
  empty.Output(empty.Node(Op::kMatMul, {empty.Input(Shape({2, 0})), empty.Weight(Shape({0, 3}))}, Shape({2, 3})));
  ExpectUnimplemented(empty.graph(), "MatMul");

  GraphBuilder many;
  many.Output(many.Node(Op::kMatMul, {many.Input(Shape({70000, 2, 1})), many.Weight(Shape({70000, 1, 2}))},
                        Shape({70000, 2, 2})));
  ExpectUnimplemented(many.graph(), "MatMul");
}

TEST(OpenPlanTest, RefusesWindowsBeyondWhatKernelsCount) {
  GraphBuilder far;
  graph::ConvAttributes attributes;
  attributes.kernel = {2, 1};
  attributes.dilations = {40000, 1};
  attributes.pads = {40000, 0, 0, 0};
  far.Output(far.Node(Op::kConv, {far.Input(Shape({1, 1, 2, 2})), far.Weight(Shape({16, 1, 2, 1}))},
                      Shape({1, 16, 2, 2}), attributes));
  ExpectUnimplemented(far.graph(), "Conv");

  GraphBuilder farther;
  graph::PoolAttributes pool;
  pool.strides = {INT32_MAX, INT32_MAX};
  farther.Output(farther.Node(Op::kMaxPool, {farther.Input(Shape({1, 1, 2, 2}))}, Shape({1, 1, 1, 1}), pool));
  ExpectUnimplemented(farther.graph(), "MaxPool");
}

TEST(OpenPlanTest, RefusesMoreKernelsThanARunMayLaunch) {
  GraphBuilder b;
  b.Output(b.Node(Op::kNeg, {b.Input(Shape({4}))}, Shape({4})));
  ExpectUnimplemented(b.graph(), "Neg", {.max_kernels = 0});
}

TEST(OpenPlanTest, RefusesValuesWithMoreElementsThanKernelsCount) {
  GraphBuilder b;
  const Shape large({1, int64_t{1} << 31});
  b.Output(b.Node(Op::kNeg, {b.Input(large)}, large));
  EXPECT_TRUE(absl::IsUnimplemented(PlanOpenModel(b.graph(), {}).status()));
}

TEST(OpenPlanTest, RefusesWhatIsNoGraph) {
  graph::Graph graph = OneConv();
  graph.nodes[0].inputs[0] = 77;
  EXPECT_TRUE(absl::IsInvalidArgument(PlanOpenModel(graph, {}).status()));
}

TEST(OpenTilingTest, CutsSmallProductsAlongKAndCoversItAll) {
  const Tiling small = ChooseTiling({.m = 512, .n = 49, .k = 4608, .count = 1, .gathers = true}, 132);
  EXPECT_GT(small.splits, 4U);
  EXPECT_GE(small.splits * small.k_per_split, 4608U);
  EXPECT_LT((small.splits - 1) * small.k_per_split, 4608U);
  EXPECT_EQ(ChooseTiling({.m = 512, .n = 501760, .k = 64}, 132).splits, 1U);
  EXPECT_EQ(ChooseTiling({}, 132).splits, 1U);
}

}  // namespace
}  // namespace shoji::accelerator::open_segment
