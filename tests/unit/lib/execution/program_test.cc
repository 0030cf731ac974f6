// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/execution/program.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "lib/execution/workspace.h"
#include "tests/unit/lib/execution/graph_builder.h"
#include "tests/unit/lib/execution/program_checks.h"

namespace shoji::execution {
namespace {

using graph::Op;
using graph::ValueId;

// Two residual blocks, one with a projection, and a classifier.
GraphBuilder ResidualNetwork() {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 3, 16, 16}));
  ValueId v = b.Node(Op::kRelu, {b.Conv(x, 17, 3)}, Shape({1, 17, 16, 16}));
  ValueId branch = b.Node(Op::kRelu, {b.Conv(v, 17, 3)}, b.shape(v));
  v = b.Node(Op::kAdd, {b.Conv(branch, 17, 3), v}, b.shape(v));
  v = b.Node(Op::kRelu, {v}, b.shape(v));
  branch = b.Node(Op::kRelu, {b.Conv(v, 32, 3)}, Shape({1, 32, 16, 16}));
  branch = b.Conv(branch, 32, 3);
  v = b.Node(Op::kAdd, {branch, b.Conv(v, 32, 1)}, b.shape(branch));
  v = b.Node(Op::kRelu, {v}, b.shape(v));
  v = b.Node(Op::kGlobalAveragePool, {v}, Shape({1, 32, 1, 1}));
  v = b.Node(Op::kReshape, {v}, Shape({1, 32}));
  graph::GemmAttributes gemm;
  gemm.trans_b = true;
  v = b.Node(Op::kGemm, {v, b.Weight(Shape({10, 32})), b.Weight(Shape({10}))}, Shape({1, 10}), gemm);
  b.Output(b.Node(Op::kSoftmax, {v}, Shape({1, 10}), graph::AxisAttributes{1}));
  return b;
}

// A classifier whose dense layers take one row.
GraphBuilder DenseNetwork() {
  GraphBuilder b;
  graph::GemmAttributes gemm;
  gemm.trans_b = true;
  ValueId v = b.Input(Shape({1, 300}));
  v = b.Node(Op::kGemm, {v, b.Weight(Shape({1031, 300})), b.Weight(Shape({1031}))}, Shape({1, 1031}), gemm);
  v = b.Node(Op::kRelu, {v}, b.shape(v));
  gemm.trans_b = false;
  b.Output(b.Node(Op::kGemm, {v, b.Weight(Shape({1031, 70}))}, Shape({1, 70}), gemm));
  return b;
}

TEST(ProgramTest, RunsThatGoTogetherHaveTheBitsThatEachHasAlone) {
  for (GraphBuilder builder : {ResidualNetwork(), DenseNetwork()}) {
    const auto program = Program::Compile(builder.graph(), {});
    ASSERT_TRUE(program.ok()) << program.status();
    std::vector<Tensor> inputs;
    std::vector<Tensor> expected;
    std::mt19937 random(5);
    std::uniform_real_distribution<float> values(-1, 1);
    for (int i = 0; i < 5; ++i) {
      Tensor& input = inputs.emplace_back(DataType::kFloat32, (*program)->inputs()[0].shape);
      std::generate(input.mutable_values<float>().begin(), input.mutable_values<float>().end(),
                    [&] { return values(random); });
      const Tensor* const view = &input;
      const auto workspace = (*program)->NewWorkspace();
      expected.push_back(std::move((*program)->Run({&view, 1}, *workspace).value()[0]));
    }
    std::vector<const Tensor*> views;
    std::vector<std::unique_ptr<Workspace>> workspaces;
    std::vector<Program::BatchRun> runs;
    for (const Tensor& input : inputs) {
      views.push_back(&input);
      workspaces.push_back((*program)->NewWorkspace());
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      runs.push_back({{&views[i], 1}, workspaces[i].get()});
    }
    ASSERT_TRUE((*program)->RunBatch(runs, StopCheck()).ok());
    for (size_t i = 0; i < inputs.size(); ++i) {
      ASSERT_EQ(runs[i].outputs.size(), 1U);
      EXPECT_TRUE(std::equal(expected[i].bytes().begin(), expected[i].bytes().end(), runs[i].outputs[0].bytes().begin(),
                             runs[i].outputs[0].bytes().end()))
          << "run " << i;
    }
    runs[4].workspace = nullptr;
    EXPECT_TRUE(absl::IsInvalidArgument((*program)->RunBatch(runs, StopCheck())));
  }
}

TEST(ProgramTest, ResidualNetworkGivesTheReferencesAnswer) { ExpectBackendsAgree(ResidualNetwork().graph()); }

// A node of a random kind that reads random values of one spatial size.
ValueId AddRandomNode(GraphBuilder& b, std::mt19937& random, const std::vector<ValueId>& values) {
  const auto pick = [&] { return values[random() % values.size()]; };
  const ValueId x = pick();
  const Shape shape = b.shape(x);
  const int64_t channels = shape[1];
  switch (random() % 12) {
    case 0:
      return b.Conv(x, std::array<int64_t, 4>{1, 8, 16, 17}[random() % 4], 3);
    case 1:
      return b.Conv(x, channels, random() % 2 == 0 ? 1 : 3);
    case 2:
      return b.Conv(x, random() % 2 == 0 ? channels : 2 * channels, 3, channels);
    case 3:
      return b.Node(Op::kRelu, {x}, shape);
    case 4:
      return b.Node(Op::kSigmoid, {x}, shape);
    case 5:
      return b.Node(Op::kClip, {x}, shape, graph::FloatAttributes{-0.5F, 0.75F});
    case 6:
    case 7: {
      for (size_t tries = 0; tries < values.size(); ++tries) {
        if (const ValueId y = pick(); b.shape(y) == shape) {
          return b.Node(random() % 2 == 0 ? Op::kAdd : Op::kSub, {x, y}, shape);
        }
      }
      return b.Node(Op::kMul, {b.Weight(Shape({channels, 1, 1})), x}, shape);
    }
    case 8: {
      const ValueId y = pick();
      return b.Node(Op::kConcat, {x, y}, Shape({1, channels + b.shape(y)[1], shape[2], shape[3]}),
                    graph::AxisAttributes{1});
    }
    case 9: {
      const ValueId gate = b.Node(Op::kGlobalAveragePool, {x}, Shape({1, channels, 1, 1}));
      return b.Node(Op::kMul, {x, b.Node(Op::kSigmoid, {gate}, b.shape(gate))}, shape);
    }
    case 10: {
      graph::PoolAttributes pool;
      pool.kernel = {3, 3};
      pool.pads = {1, 1, 1, 1};
      pool.count_include_pad = random() % 2 == 0;
      return b.Node(random() % 2 == 0 ? Op::kMaxPool : Op::kAveragePool, {x}, shape, pool);
    }
    default: {
      const ValueId flat = b.Node(Op::kReshape, {x}, Shape({1, channels, shape[2] * shape[3]}));
      const ValueId tanh = b.Node(Op::kTanh, {flat}, b.shape(flat));
      return b.Node(Op::kReshape, {tanh}, shape);
    }
  }
}

TEST(ProgramTest, RandomGraphsGiveTheReferencesAnswer) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    GraphBuilder b;
    std::vector<ValueId> values = {b.Input(Shape({1, std::array<int64_t, 3>{3, 16, 17}[seed % 3], 6, 7}))};
    for (int i = 0; i < 12; ++i) {
      values.push_back(AddRandomNode(b, random, values));
    }
    b.Output(values.back());
    b.Output(values[values.size() / 2]);
    ExpectBackendsAgree(b.graph(), "seed " + std::to_string(seed));
  }
}

TEST(ProgramTest, ConvolutionDoesNotAddOntoTheInputThatItReads) {
  GraphBuilder b;
  const ValueId x = b.Node(Op::kRelu, {b.Input(Shape({1, 16, 8, 8}))}, Shape({1, 16, 8, 8}));
  b.Output(b.Node(Op::kAdd, {b.Conv(x, 16, 3), x}, b.shape(x)));
  ExpectBackendsAgree(b.graph());
}

TEST(ProgramTest, ResidualThatIsReadLaterIsNotOverwritten) {
  GraphBuilder b;
  const ValueId x = b.Conv(b.Input(Shape({1, 16, 8, 8})), 16, 3);
  const ValueId y = b.Conv(x, 16, 3);
  const ValueId sum = b.Node(Op::kAdd, {b.Conv(y, 16, 3), x}, b.shape(x));
  b.Output(b.Node(Op::kMul, {sum, x}, b.shape(x)));
  ExpectBackendsAgree(b.graph());
}

TEST(ProgramTest, OutputThatAnotherNodeReadsIsNotOverwritten) {
  GraphBuilder b;
  const ValueId x = b.Conv(b.Input(Shape({1, 16, 8, 8})), 16, 3);
  const ValueId y = b.Node(Op::kRelu, {x}, b.shape(x));
  b.Output(x);
  b.Output(y);
  b.Output(b.Node(Op::kAdd, {y, x}, b.shape(x)));
  ExpectBackendsAgree(b.graph());
}

TEST(ProgramTest, InputsAndConstantsAndRepeatsMayBeOutputs) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({2, 3}));
  const ValueId flat = b.Node(Op::kReshape, {x}, Shape({6}));
  const ValueId y = b.Node(Op::kRelu, {x}, Shape({2, 3}));
  for (const ValueId output : {x, b.Weight(Shape({4})), flat, y, y, b.Node(Op::kReshape, {y}, Shape({3, 2}))}) {
    b.Output(output);
  }
  ExpectBackendsAgree(b.graph());
}

TEST(ProgramTest, GatesBecomeOneActivationWithTheSameAnswer) {
  GraphBuilder b;
  ValueId x = b.Conv(b.Input(Shape({1, 16, 8, 8})), 16, 3);
  x = b.Node(Op::kMul, {b.Node(Op::kSigmoid, {x}, b.shape(x)), x}, b.shape(x));
  x = b.Conv(x, 17, 1);
  const ValueId gate = b.Node(Op::kHardSigmoid, {x}, b.shape(x), graph::FloatAttributes{1.0F / 6, 0.5F});
  b.Output(b.Node(Op::kMul, {x, gate}, b.shape(x)));
  ExpectBackendsAgree(b.graph());
}

TEST(ProgramTest, MovementsAndMatrixProductsGiveTheReferencesAnswer) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 17, 6, 8}));
  ValueId v = b.Conv(x, 17, 3);
  v = b.Node(Op::kTranspose, {v}, Shape({1, 6, 8, 17}), graph::TransposeAttributes{{0, 2, 3, 1}});
  v = b.Node(Op::kSlice, {v}, Shape({1, 3, 4, 17}), graph::SliceAttributes{{0, 1, 7, 0}, {1, 2, -2, 1}});
  v = b.Node(Op::kPad, {v}, Shape({1, 5, 4, 16}), graph::PadAttributes{{0, 1, 0, -1}, {0, 1, 0, 0}, 0.5F});
  v = b.Node(Op::kReduceMean, {v}, Shape({1, 5, 16}), graph::ReduceAttributes{{2}, false});
  const ValueId turned = b.Node(Op::kTranspose, {v}, Shape({1, 16, 5}), graph::TransposeAttributes{{0, 2, 1}});
  const ValueId square = b.Node(Op::kMatMul, {v, turned}, Shape({1, 5, 5}));
  const ValueId y = b.Node(Op::kMatMul, {square, b.Weight(Shape({5, 7}))}, Shape({1, 5, 7}));
  b.Output(b.Node(Op::kSoftmax, {y}, Shape({1, 5, 7}), graph::AxisAttributes{1}));
  b.Output(b.Node(Op::kReduceMean, {x}, Shape({1, 17}), graph::ReduceAttributes{{2, 3}, false}));
  b.Output(b.Node(Op::kDiv, {b.Weight(Shape({1, 17, 1, 1})), x}, b.shape(x)));
  ExpectBackendsAgree(b.graph());
}

TEST(ProgramTest, EveryFormOfGemmGivesTheReferencesAnswer) {
  for (const bool trans_b : {false, true}) {
    for (const Shape& c : {Shape({10}), Shape({1, 10}), Shape({1}), Shape({3, 1}), Shape({3, 10})}) {
      GraphBuilder b;
      graph::GemmAttributes gemm;
      gemm.alpha = 0.5F;
      gemm.beta = 2;
      gemm.trans_b = trans_b;
      const ValueId y = b.Node(
          Op::kGemm, {b.Input(Shape({3, 32})), b.Weight(trans_b ? Shape({10, 32}) : Shape({32, 10})), b.Weight(c)},
          Shape({3, 10}), gemm);
      b.Output(b.Node(Op::kRelu, {y}, Shape({3, 10})));
      ExpectBackendsAgree(b.graph(), c.ToString());
    }
  }
}

TEST(ProgramTest, BatchNormThatCannotBeFoldedGivesTheReferencesAnswer) {
  GraphBuilder b;
  Tensor variance = RandomTensor(Shape({17}), 9);
  for (float& value : variance.mutable_values<float>()) {
    value = value * value + 0.1F;
  }
  ValueId v = b.Node(Op::kMaxPool, {b.Conv(b.Input(Shape({1, 3, 6, 6})), 17, 3)}, Shape({1, 17, 6, 6}),
                     graph::PoolAttributes());
  v = b.Node(Op::kBatchNorm,
             {v, b.Weight(Shape({17})), b.Weight(Shape({17})), b.Weight(Shape({17})), b.Constant(std::move(variance))},
             b.shape(v), graph::BatchNormAttributes());
  b.Output(b.Node(Op::kRelu, {v}, b.shape(v)));
  ExpectBackendsAgree(b.graph());
}

TEST(ProgramTest, EmptyTensorsPassThroughBothBackends) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 0, 4, 4}));
  graph::ConvAttributes conv;
  b.Output(b.Node(Op::kRelu, {x}, b.shape(x)));
  b.Output(b.Node(Op::kConv, {x, b.Weight(Shape({8, 0, 1, 1})), b.Weight(Shape({8}))}, Shape({1, 8, 4, 4}), conv));
  b.Output(b.Node(Op::kConcat, {x, b.Weight(Shape({1, 2, 4, 4}))}, Shape({1, 2, 4, 4}), graph::AxisAttributes{1}));
  ExpectBackendsAgree(b.graph());
}

TEST(ProgramTest, ThreadsWithWorkspacesOfTheirOwnGetIdenticalBits) {
  const std::unique_ptr<Program> program = Compile(ResidualNetwork().graph());
  const std::vector<Tensor> expected[] = {RunProgram(*program, 1), RunProgram(*program, 2)};
  std::vector<int> wrong(4);
  {
    std::vector<std::jthread> threads;
    for (size_t t = 0; t < wrong.size(); ++t) {
      threads.emplace_back([&, t] {
        const std::unique_ptr<Workspace> workspace = program->NewWorkspace();
        for (unsigned i = 0; i < 20; ++i) {
          const size_t which = (t + i) % 2;
          const std::vector<Tensor> inputs = RandomInputs(*program, static_cast<unsigned>(1 + which));
          wrong[t] += SameBytes(RunProgram(*program, inputs, *workspace), expected[which]) ? 0 : 1;
        }
      });
    }
  }
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST(ProgramTest, WorkspaceGivesTheSameBitsWhenUsedAgainOrWiped) {
  const std::unique_ptr<Program> program = Compile(ResidualNetwork().graph());
  const std::unique_ptr<Workspace> workspace = program->NewWorkspace();
  const std::vector<Tensor> first = RunProgram(*program, RandomInputs(*program, 1), *workspace);
  RunProgram(*program, RandomInputs(*program, 2), *workspace);
  EXPECT_TRUE(SameBytes(RunProgram(*program, RandomInputs(*program, 1), *workspace), first));
  workspace->Wipe();
  EXPECT_TRUE(SameBytes(RunProgram(*program, RandomInputs(*program, 1), *workspace), first));
}

TEST(ProgramTest, WipeLeavesNoByteOfTheRunInTheWorkspace) {
  for (const Backend backend : {Backend::kOneDnn, Backend::kReference}) {
    const std::unique_ptr<Program> program = Compile(ResidualNetwork().graph(), backend);
    const std::unique_ptr<Workspace> workspace = program->NewWorkspace();
    const auto& bound = dynamic_cast<const BoundWorkspace&>(*workspace);
    const auto is_zero = [](uint8_t byte) { return byte == 0; };
    RunProgram(*program, RandomInputs(*program, 1), *workspace);
    EXPECT_EQ(bound.contents().size(), workspace->size_bytes());
    EXPECT_FALSE(std::all_of(bound.contents().begin(), bound.contents().end(), is_zero));
    workspace->Wipe();
    EXPECT_TRUE(std::all_of(bound.contents().begin(), bound.contents().end(), is_zero));
  }
}

size_t NumThreads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<size_t>(std::distance(begin(tasks), end(tasks)));
}

TEST(ProgramTest, RunWithOneThreadStartsNone) {
  const size_t before = NumThreads();
  const std::unique_ptr<Program> program = Compile(ResidualNetwork().graph());
  RunProgram(*program);
  EXPECT_EQ(NumThreads(), before);
}

TEST(ProgramTest, MoreThreadsGiveTheSameAnswer) {
  CompileOptions options;
  options.num_threads = 3;
  const auto program = Program::Compile(ResidualNetwork().graph(), options);
  ASSERT_TRUE(program.ok()) << program.status();
  const std::vector<Tensor> first = RunProgram(**program);
  EXPECT_TRUE(SameBytes(RunProgram(**program), first));
  const std::vector<Tensor> expected = RunProgram(*Compile(ResidualNetwork().graph()));
  for (size_t i = 0; i < first[0].num_elements(); ++i) {
    EXPECT_NEAR(first[0].values<float>()[i], expected[0].values<float>()[i], 1e-5F);
  }
}

TEST(ProgramTest, MemoryOfValuesThatAreOverIsUsedAgain) {
  GraphBuilder b;
  ValueId v = b.Input(Shape({1, 16, 32, 32}));
  for (int i = 0; i < 20; ++i) {
    v = b.Conv(v, 16, 3);
  }
  b.Output(v);
  for (const Backend backend : {Backend::kOneDnn, Backend::kReference}) {
    const std::unique_ptr<Workspace> workspace = Compile(b.graph(), backend)->NewWorkspace();
    EXPECT_LT(workspace->size_bytes(), 8 * b.shape(v).num_elements() * sizeof(float));
  }
}

TEST(ProgramTest, PlainWeightsLiveOnOnlyWhereAKernelReadsThem) {
  for (const Backend backend : {Backend::kOneDnn, Backend::kReference}) {
    GraphBuilder b;
    b.Output(b.Conv(b.Input(Shape({1, 32, 8, 8})), 32, 3));
    const std::weak_ptr<const Tensor> weight = b.graph().values[b.graph().nodes[0].inputs[1]].constant;
    CompileOptions options;
    options.backend = backend;
    const auto program = Program::Compile(std::move(b.graph()), options);
    ASSERT_TRUE(program.ok()) << program.status();
    b.graph() = graph::Graph();
    EXPECT_EQ(weight.expired(), backend == Backend::kOneDnn);
    RunProgram(**program);
  }
}

TEST(ProgramTest, WorkspaceMayOutliveItsProgram) {
  std::unique_ptr<Program> program = Compile(ResidualNetwork().graph());
  const std::unique_ptr<Workspace> workspace = program->NewWorkspace();
  RunProgram(*program, RandomInputs(*program, 1), *workspace);
  program.reset();
  workspace->Wipe();
}

TEST(ProgramTest, RunRefusesWrongInputsAndForeignWorkspaces) {
  const std::unique_ptr<Program> program = Compile(ResidualNetwork().graph());
  const std::unique_ptr<Program> other = Compile(ResidualNetwork().graph());
  const std::unique_ptr<Workspace> workspace = program->NewWorkspace();
  const std::unique_ptr<Workspace> foreign = other->NewWorkspace();
  const Tensor good = RandomTensor(Shape({1, 3, 16, 16}), 1);
  const Tensor small = RandomTensor(Shape({1, 3, 16, 15}), 1);
  const Tensor bytes(DataType::kUint8, Shape({1, 3, 16, 16}));
  const Tensor* const inputs[] = {&good, &small, &bytes, nullptr};
  EXPECT_TRUE(program->Run(std::span(inputs, 1), *workspace).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(program->Run({}, *workspace).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(program->Run(std::span(inputs, 2), *workspace).status()));
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_TRUE(absl::IsInvalidArgument(program->Run(std::span(inputs + i, 1), *workspace).status()));
  }
  EXPECT_TRUE(absl::IsInvalidArgument(program->Run(std::span(inputs, 1), *foreign).status()));
}

TEST(ProgramTest, RunStopsBeforeTheStepThatItIsTold) {
  for (const Backend backend : {Backend::kOneDnn, Backend::kReference}) {
    const std::unique_ptr<Program> program = Compile(ResidualNetwork().graph(), backend);
    const std::unique_ptr<Workspace> workspace = program->NewWorkspace();
    const Tensor input = RandomTensor(Shape({1, 3, 16, 16}), 1);
    const Tensor* const inputs[] = {&input};
    int num_asked = 0;
    ASSERT_TRUE(program->Run(inputs, *workspace, [&] { return ++num_asked, absl::OkStatus(); }).ok());
    EXPECT_GT(num_asked, 2);
    int left = 2;
    const auto stopped = program->Run(
        inputs, *workspace, [&] { return --left > 0 ? absl::OkStatus() : absl::DeadlineExceededError("too late"); });
    EXPECT_TRUE(absl::IsDeadlineExceeded(stopped.status())) << stopped.status();
    EXPECT_EQ(left, 0);
    EXPECT_TRUE(program->Run(inputs, *workspace).ok());  // as if nothing had been
  }
}

TEST(ProgramTest, SaysHowMuchMemoryItTakes) {
  const std::unique_ptr<Program> program = Compile(ResidualNetwork().graph());
  EXPECT_EQ(program->workspace_bytes(), program->NewWorkspace()->size_bytes());
  GraphBuilder b;
  const ValueId weight = b.Weight(Shape({1, 10}));
  const ValueId sum = b.Node(Op::kAdd, {b.Input(Shape({1, 10})), weight}, Shape({1, 10}));
  b.Output(b.Node(Op::kMul, {sum, weight}, Shape({1, 10})));
  EXPECT_EQ(Compile(b.graph(), Backend::kReference)->constant_bytes(), 40U);  // read twice, there once
}

TEST(ProgramTest, CompileRefusesGraphsOverTheWorkspaceLimit) {
  for (const Backend backend : {Backend::kOneDnn, Backend::kReference}) {
    GraphBuilder b;
    ValueId v = b.Input(Shape({1, 1, 32, 32}));
    b.Output(b.Node(Op::kRelu,
                    {b.Node(Op::kTranspose, {v}, Shape({32, 32, 1, 1}), graph::TransposeAttributes{{2, 3, 0, 1}})},
                    Shape({32, 32, 1, 1})));
    b.Output(b.Node(Op::kSigmoid, {b.graph().nodes[0].outputs[0]}, Shape({32, 32, 1, 1})));
    CompileOptions options;
    options.backend = backend;
    options.max_workspace_bytes = 4096;
    EXPECT_TRUE(Program::Compile(b.graph(), options).ok());
    options.max_workspace_bytes = 4095;
    EXPECT_TRUE(absl::IsResourceExhausted(Program::Compile(b.graph(), options).status()));
  }
}

TEST(ProgramTest, CompileSaysWhereTheWorkspaceWouldBeFullest) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 1, 32, 32}));
  const ValueId first = b.Node(Op::kSigmoid, {x}, Shape({1, 1, 32, 32}));
  const ValueId second = b.Node(Op::kTanh, {first}, Shape({1, 1, 32, 32}));
  b.Output(b.Node(Op::kAdd, {first, second}, Shape({1, 1, 32, 32})));
  CompileOptions options;
  options.backend = Backend::kReference;
  options.max_workspace_bytes = 8191;
  EXPECT_EQ(Program::Compile(b.graph(), options).status().message(),
            "the graph's intermediate values need more than the allowed 8191 bytes; most are in use at node n1, "
            "8192 bytes");
  options.max_workspace_bytes = 8192;
  EXPECT_TRUE(Program::Compile(b.graph(), options).ok());
}

TEST(ProgramTest, CompileRefusesAnIntermediateValueOfTerabytesWithoutAllocatingIt) {
  for (const Backend backend : {Backend::kOneDnn, Backend::kReference}) {
    GraphBuilder b;
    const ValueId x = b.Input(Shape({1, 1, 1 << 20, 1}));
    const ValueId wide = b.Node(Op::kAdd, {x, b.Input(Shape({1, 1, 1, 1 << 20}))}, Shape({1, 1, 1 << 20, 1 << 20}));
    b.Output(b.Node(Op::kReduceMean, {wide}, Shape({1, 1, 1, 1}), graph::ReduceAttributes{{2, 3}, true}));
    CompileOptions options;
    options.backend = backend;
    EXPECT_TRUE(absl::IsResourceExhausted(Program::Compile(b.graph(), options).status()));
  }
}

TEST(ProgramTest, CompileRefusesPackedWeightsOverTheLimit) {
  GraphBuilder b;
  b.Output(b.Conv(b.Input(Shape({1, 64, 8, 8})), 64, 3));
  CompileOptions options;
  options.max_constant_bytes = 1000;
  const absl::Status status = Program::Compile(b.graph(), options).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

// One way to break a good graph, and a word of the error.
struct Breakage {
  std::string name;
  std::function<void(GraphBuilder&)> apply;
  std::string word;
};

class HostileGraphTest : public testing::TestWithParam<Breakage> {};

TEST_P(HostileGraphTest, IsRefusedWithTheNodesName) {
  GraphBuilder b;
  const ValueId x = b.Conv(b.Input(Shape({1, 8, 5, 5})), 8, 3);
  const ValueId pooled = b.Node(Op::kMaxPool, {x}, b.shape(x), graph::PoolAttributes());
  b.Output(b.Node(Op::kAdd, {pooled, x}, b.shape(x)));
  ASSERT_NE(Compile(b.graph()), nullptr);
  GetParam().apply(b);
  for (const Backend backend : {Backend::kOneDnn, Backend::kReference}) {
    CompileOptions options;
    options.backend = backend;
    const absl::Status status = Program::Compile(b.graph(), options).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status) || absl::IsUnimplemented(status)) << status;
    EXPECT_NE(std::string(status.message()).find(GetParam().word), std::string::npos) << status;
  }
}

graph::Node& NodeOf(GraphBuilder& b, size_t i) { return b.graph().nodes[i]; }

INSTANTIATE_TEST_SUITE_P(
    Breakages, HostileGraphTest,
    testing::Values(
        Breakage{"window_larger_than_input",
                 [](GraphBuilder& b) {
                   std::get<graph::PoolAttributes>(NodeOf(b, 1).attributes).kernel = {9, 9};
                 },
                 "n1 (MaxPool)"},
        Breakage{"stride_of_zero",
                 [](GraphBuilder& b) {
                   std::get<graph::ConvAttributes>(NodeOf(b, 0).attributes).strides = {0, 1};
                 },
                 "n0 (Conv)"},
        Breakage{"negative_pad",
                 [](GraphBuilder& b) { std::get<graph::ConvAttributes>(NodeOf(b, 0).attributes).pads[1] = -1; },
                 "n0 (Conv)"},
        Breakage{"huge_dilation",
                 [](GraphBuilder& b) {
                   std::get<graph::ConvAttributes>(NodeOf(b, 0).attributes).dilations = {INT64_MAX, INT64_MAX};
                 },
                 "n0 (Conv)"},
        Breakage{"group_of_zero",
                 [](GraphBuilder& b) { std::get<graph::ConvAttributes>(NodeOf(b, 0).attributes).group = 0; },
                 "n0 (Conv)"},
        Breakage{"attributes_of_another_operator",
                 [](GraphBuilder& b) { NodeOf(b, 0).attributes = graph::AxisAttributes(); }, "n0 (Conv)"},
        Breakage{"output_of_another_shape",
                 [](GraphBuilder& b) {
                   b.graph().values[NodeOf(b, 1).outputs[0]].shape = Shape({1, 8, 5, 6});
                 },
                 "n1 (MaxPool)"},
        Breakage{"missing_input", [](GraphBuilder& b) { NodeOf(b, 2).inputs.pop_back(); }, "n2 (Add)"},
        Breakage{"absent_input", [](GraphBuilder& b) { NodeOf(b, 2).inputs[0] = graph::kNoValue; }, "n2 (Add)"},
        Breakage{"input_out_of_range", [](GraphBuilder& b) { NodeOf(b, 2).inputs[0] = 1000; }, "n2 (Add)"},
        Breakage{"cycle", [](GraphBuilder& b) { NodeOf(b, 0).inputs[0] = NodeOf(b, 2).outputs[0]; }, "n0 (Conv)"},
        Breakage{"value_produced_twice", [](GraphBuilder& b) { NodeOf(b, 1).outputs = NodeOf(b, 0).outputs; },
                 "n1 (MaxPool)"},
        Breakage{"two_outputs", [](GraphBuilder& b) { NodeOf(b, 1).outputs.push_back(0); }, "n1 (MaxPool)"},
        Breakage{"unknown_output", [](GraphBuilder& b) { b.graph().outputs[0] = 1000; }, "output"},
        Breakage{"short_bias", [](GraphBuilder& b) { NodeOf(b, 0).inputs[2] = b.Weight(Shape({7})); }, "n0 (Conv)"},
        Breakage{"constant_of_another_shape",
                 [](GraphBuilder& b) { b.graph().values[NodeOf(b, 0).inputs[2]].shape = Shape({9}); }, "constant"},
        Breakage{"integer_values",
                 [](GraphBuilder& b) { b.graph().values[b.graph().inputs[0]].type = DataType::kInt64; }, "int64"}),
    [](const auto& test) { return test.param.name; });

TEST(ProgramTest, CompileRefusesAThreadCountThatIsNone) {
  for (const int num_threads : {0, -1, 100000}) {
    CompileOptions options;
    options.num_threads = num_threads;
    EXPECT_TRUE(absl::IsInvalidArgument(Program::Compile(ResidualNetwork().graph(), options).status()));
  }
}

}  // namespace
}  // namespace shoji::execution
