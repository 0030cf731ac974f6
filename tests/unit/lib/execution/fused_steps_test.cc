// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Several nodes in one step, and values computed where others want them.

#include <algorithm>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "lib/execution/workspace.h"
#include "tests/unit/lib/execution/graph_builder.h"
#include "tests/unit/lib/execution/program_checks.h"

namespace shoji::execution {
namespace {

using graph::Op;
using graph::ValueId;

int64_t Sum(std::span<const int64_t> values) { return std::accumulate(values.begin(), values.end(), int64_t{0}); }

ValueId Join(GraphBuilder& b, const std::vector<ValueId>& parts) {
  std::vector<int64_t> channels;
  for (const ValueId part : parts) {
    channels.push_back(b.shape(part)[1]);
  }
  const Shape first = b.shape(parts[0]);
  return b.Node(Op::kConcat, parts, Shape({1, Sum(channels), first[2], first[3]}), graph::AxisAttributes{1});
}

// Steps that only move values.
size_t NumCopies(const graph::Graph& graph) {
  const std::unique_ptr<Workspace> workspace = Compile(graph)->NewWorkspace();
  const CompiledGraph& compiled = dynamic_cast<const BoundWorkspace&>(*workspace).compiled();
  return static_cast<size_t>(std::count_if(compiled.steps.begin(), compiled.steps.end(), [&](const Step& step) {
    return std::none_of(graph.nodes.begin(), graph.nodes.end(),
                        [&](const graph::Node& node) { return node.name == step.name && node.op != Op::kConcat; });
  }));
}

TEST(FusedStepsTest, PartsAreComputedWhereTheirConcatenationLies) {
  GraphBuilder b;
  const ValueId x = b.Conv(b.Input(Shape({1, 3, 8, 8})), 16, 3);
  const ValueId joined = Join(b, {b.Node(Op::kRelu, {b.Conv(x, 32, 1)}, Shape({1, 32, 8, 8})), b.Conv(x, 16, 3)});
  const ValueId pooled =
      b.Node(Op::kGlobalAveragePool, {Join(b, {joined, b.Conv(joined, 16, 3)})}, Shape({1, 64, 1, 1}));
  b.Output(pooled);
  ExpectBackendsAgree(b.graph());
  EXPECT_LE(NumCopies(b.graph()), 1U) << "one part is read by two concatenations, all else lies where it belongs";
}

TEST(FusedStepsTest, PartsThatOccurTwiceOrElsewhereGiveTheReferencesAnswer) {
  GraphBuilder b;
  const ValueId x = b.Conv(b.Input(Shape({1, 16, 8, 8})), 16, 3);
  const ValueId twice = Join(b, {x, x});
  const ValueId y = b.Conv(x, 16, 1);
  const ValueId again = Join(b, {y, x, b.Weight(Shape({1, 16, 8, 8}))});
  b.Output(twice);
  b.Output(y);
  b.Output(b.Node(Op::kAdd, {b.Conv(again, 48, 3), again}, b.shape(again)));
  b.Output(Join(b, {b.Conv(y, 17, 3), b.Node(Op::kSigmoid, {x}, b.shape(x))}));
  ExpectBackendsAgree(b.graph());
}

// x * gate(x), the gate as squeeze-and-excitation networks have it.
ValueId SqueezeExcite(GraphBuilder& b, ValueId x, int64_t hidden, Op gate) {
  const Shape shape = b.shape(x);
  ValueId v = b.Node(Op::kGlobalAveragePool, {x}, Shape({1, shape[1], 1, 1}));
  v = b.Conv(v, hidden, 1);
  v = b.Node(Op::kRelu, {v}, b.shape(v));
  v = b.Conv(v, shape[1], 1);
  v = b.Node(gate, {v}, b.shape(v),
             gate == Op::kHardSigmoid ? graph::Attributes(graph::FloatAttributes{0.2F, 0.5F}) : graph::Attributes());
  return b.Node(Op::kMul, {x, v}, shape);
}

TEST(FusedStepsTest, SqueezeAndExcitationIsOneStepWithTheSameAnswer) {
  for (const Op gate : {Op::kSigmoid, Op::kHardSigmoid, Op::kTanh}) {
    for (const int64_t channels : {16, 24, 40}) {
      GraphBuilder b;
      const ValueId x = b.Conv(b.Input(Shape({1, 3, 9, 7})), channels, 3);
      b.Output(b.Conv(SqueezeExcite(b, x, 6, gate), 16, 1));
      ExpectBackendsAgree(b.graph(), std::to_string(channels) + " channels");
    }
  }
}

TEST(FusedStepsTest, SqueezeAndExcitationWhoseInsideIsReadGivesTheReferencesAnswer) {
  GraphBuilder b;
  const ValueId x = b.Conv(b.Input(Shape({1, 3, 8, 8})), 16, 3);
  const ValueId y = SqueezeExcite(b, x, 8, Op::kSigmoid);
  b.Output(y);
  b.Output(b.graph().nodes[b.graph().nodes.size() - 2].outputs[0]);  // the gate
  b.Output(b.Node(Op::kAdd, {y, x}, b.shape(x)));                    // x after it
  ExpectBackendsAgree(b.graph());
}

// oneDNN would compute the first of two such functions twice.
TEST(FusedStepsTest, FunctionsOfOneKindInSuccessionGiveTheReferencesAnswer) {
  using Step = std::pair<Op, graph::FloatAttributes>;
  const std::vector<std::vector<Step>> chains = {
      {{Op::kClip, {-0.2F, 0.4F}}, {Op::kClip, {-0.1F, 0.3F}}},
      {{Op::kClip, {-0.2F, 0.4F}}, {Op::kTanh, {}}, {Op::kClip, {-0.1F, 0.3F}}},
      {{Op::kLeakyRelu, {0.5F, 0}}, {Op::kRelu, {}}},
      {{Op::kLeakyRelu, {0.5F, 0}}, {Op::kLeakyRelu, {0.1F, 0}}},
      {{Op::kElu, {0.5F, 0}}, {Op::kElu, {0.1F, 0}}},
      {{Op::kClip, {-0.2F, 0.4F}}, {Op::kHardSigmoid, {1, 0.5F}}},
      {{Op::kHardSigmoid, {0.2F, 0.5F}}, {Op::kHardSigmoid, {0.7F, 0.1F}}},
      {{Op::kRelu, {}}, {Op::kRelu, {}}},
  };
  for (const std::vector<Step>& chain : chains) {
    GraphBuilder b;
    ValueId y = b.Conv(b.Input(Shape({1, 3, 8, 8})), 16, 3);
    ValueId dense = b.Node(Op::kReshape, {b.Node(Op::kGlobalAveragePool, {y}, Shape({1, 16, 1, 1}))}, Shape({1, 16}));
    dense = b.Node(Op::kGemm, {dense, b.Weight(Shape({16, 4}))}, Shape({1, 4}), graph::GemmAttributes{});
    for (const auto& [op, attributes] : chain) {
      const bool plain = op == Op::kRelu || op == Op::kTanh;
      y = b.Node(op, {y}, b.shape(y), plain ? graph::Attributes() : attributes);
      dense = b.Node(op, {dense}, b.shape(dense), plain ? graph::Attributes() : attributes);
    }
    b.Output(y);
    b.Output(dense);
    ExpectBackendsAgree(b.graph());
  }
}

}  // namespace
}  // namespace shoji::execution
