// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/open_model.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu_worker/cpu/open_model.h"
#include "lib/graph/onnx_import.h"
#include "tests/unit/gpu_worker/cuda/photo_models.h"
#include "tests/unit/gpu_worker/cuda/segments.h"
#include "tests/unit/lib/execution/graph_builder.h"

namespace shoji::accelerator {
namespace {

using execution::GraphBuilder;
using execution::RandomTensor;
using graph::Op;
using graph::ValueId;
using open_segment::Segment;
using ::testing::HasSubstr;

class OpenModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::unique_ptr<Device>> device = Device::Open({});
    if (!device.ok()) {
      GTEST_SKIP() << "no CUDA device: " << device.status().message();
    }
    device_ = *std::move(device);
  }
  std::unique_ptr<Model> Load(const graph::Graph& graph) {
    absl::StatusOr<std::unique_ptr<Model>> model = CreateCudaOpenModel(*device_, graph, {});
    EXPECT_TRUE(model.ok()) << model.status();
    return model.ok() ? *std::move(model) : nullptr;
  }

  std::unique_ptr<Device> device_;
};
class OpenModelPhotoTest : public OpenModelTest, public ::testing::WithParamInterface<open_segment::PhotoModel> {};

std::vector<Tensor> InputsOf(const graph::Graph& graph, unsigned seed) {
  std::vector<Tensor> out;
  for (const ValueId input : graph.inputs) {
    out.push_back(RandomTensor(graph.values[input].shape, seed++));
  }
  return out;
}

std::vector<Tensor> Clones(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> out;
  for (const Tensor& tensor : tensors) {
    out.push_back(tensor.Clone());
  }
  return out;
}

bool SameBytes(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin(), b.bytes().end());
}

// Within 1e-4 of the largest value, which covers other orders of the same sums.
void ExpectClose(const std::vector<Tensor>& actual, const std::vector<Tensor>& expected) {
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

TEST_F(OpenModelTest, EveryFormGivesWhatTheCpuBackendGives) {
  for (const Segment& segment : open_segment::AllForms()) {
    SCOPED_TRACE(segment.name);
    const std::unique_ptr<Model> model = Load(segment.graph);
    ASSERT_NE(model, nullptr);
    const auto cpu = CreateCpuOpenModel(segment.graph, {});
    ASSERT_TRUE(cpu.ok()) << cpu.status();
    const std::vector<Tensor> inputs = InputsOf(segment.graph, 5);
    const auto actual = model->Run(Clones(inputs), {});
    const auto expected = (*cpu)->Run(Clones(inputs), {});
    ASSERT_TRUE(actual.ok() && expected.ok()) << actual.status() << expected.status();
    ExpectClose(*actual, *expected);
  }
}

TEST_F(OpenModelTest, ABatchGivesEachRequestTheBitsItHasAlone) {
  constexpr size_t kBatch = 7;
  for (const Segment& segment : open_segment::AllForms()) {
    SCOPED_TRACE(segment.name);
    const std::unique_ptr<Model> model = Load(segment.graph);
    ASSERT_NE(model, nullptr);
    std::vector<Tensor> inputs;
    std::vector<Tensor> alone;
    for (unsigned i = 0; i < kBatch; ++i) {
      std::vector<Tensor> own = InputsOf(segment.graph, 10 * i);
      auto outputs = model->Run(Clones(own), {});
      ASSERT_TRUE(outputs.ok()) << outputs.status();
      std::move(outputs->begin(), outputs->end(), std::back_inserter(alone));
      std::move(own.begin(), own.end(), std::back_inserter(inputs));
    }
    const auto together = model->RunBatch(std::move(inputs), kBatch, {});
    ASSERT_TRUE(together.ok()) << together.status();
    ASSERT_EQ(together->size(), alone.size());
    for (size_t i = 0; i < alone.size(); ++i) {
      EXPECT_TRUE(SameBytes((*together)[i], alone[i])) << i;
    }
  }
}

// A convolution in parts, a sum, and a dense layer.
graph::Graph SmallNetwork() {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 64, 14, 14}));
  const ValueId sum = b.Node(Op::kAdd, {b.Conv(x, 64, 3), x}, b.shape(x));
  const ValueId y = b.Node(Op::kRelu, {sum}, b.shape(x));
  const ValueId mean = b.Node(Op::kGlobalAveragePool, {y}, Shape({1, 64, 1, 1}));
  const ValueId flat = b.Node(Op::kReshape, {mean}, Shape({1, 64}));
  b.Output(
      b.Node(Op::kGemm, {flat, b.Weight(Shape({10, 64}))}, Shape({1, 10}), graph::GemmAttributes{1, 1, false, true}));
  return std::move(b.graph());
}

TEST_F(OpenModelTest, RunsAtTheSameTimeDoNotMixAndGiveTheSameBits) {
  const graph::Graph graph = SmallNetwork();
  const std::unique_ptr<Model> model = Load(graph);
  ASSERT_NE(model, nullptr);
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      const std::vector<Tensor> inputs = InputsOf(graph, t);
      const auto first = model->Run(Clones(inputs), {});
      ASSERT_TRUE(first.ok()) << first.status();
      for (int i = 0; i < 40; ++i) {
        const auto again = model->Run(Clones(inputs), {});
        ASSERT_TRUE(again.ok()) << again.status();
        ASSERT_TRUE(SameBytes((*again)[0], (*first)[0]));
      }
    });
  }
}

TEST_F(OpenModelTest, ModelsLoadAndGoWhileOthersRun) {
  const graph::Graph graph = SmallNetwork();
  const std::unique_ptr<Model> model = Load(graph);
  ASSERT_NE(model, nullptr);
  const std::vector<Tensor> inputs = InputsOf(graph, 1);
  const auto first = model->Run(Clones(inputs), {});
  ASSERT_TRUE(first.ok());
  std::jthread loader([&] {
    for (int i = 0; i < 10; ++i) {
      ASSERT_NE(Load(graph), nullptr);
    }
  });
  for (int i = 0; i < 50; ++i) {
    const auto again = model->Run(Clones(inputs), {});
    ASSERT_TRUE(again.ok() && SameBytes((*again)[0], (*first)[0]));
  }
}

TEST_F(OpenModelTest, CountsTheMemoryThatItHoldsAndGivesItBack) {
  const uint64_t before = device_->memory_in_use();
  std::unique_ptr<Model> model = Load(SmallNetwork());
  ASSERT_NE(model, nullptr);
  EXPECT_GT(device_->memory_in_use(), before + 64 * 64 * 9 * sizeof(float));
  EXPECT_LE(device_->memory_in_use() - before, model->memory_bytes());
  model.reset();
  EXPECT_EQ(device_->memory_in_use(), before);
}

TEST_F(OpenModelTest, RefusesInputsThatAreNotTheModels) {
  const std::unique_ptr<Model> model = Load(SmallNetwork());
  ASSERT_NE(model, nullptr);
  EXPECT_TRUE(absl::IsInvalidArgument(model->Run({}, {}).status()));
  std::vector<Tensor> wrong;
  wrong.push_back(RandomTensor(Shape({1, 64, 14, 15}), 1));
  EXPECT_TRUE(absl::IsInvalidArgument(model->Run(std::move(wrong), {}).status()));
}

TEST_F(OpenModelTest, StopsBetweenOperatorsAndServesTheNextRun) {
  const graph::Graph graph = SmallNetwork();
  const std::unique_ptr<Model> model = Load(graph);
  ASSERT_NE(model, nullptr);
  const auto stopped = model->Run(InputsOf(graph, 1), [] { return absl::DeadlineExceededError("too late"); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(stopped.status())) << stopped.status();
  EXPECT_TRUE(model->Run(InputsOf(graph, 1), {}).ok());
}

// Hundreds of convolutions, a second or more in all if nobody stops them.
TEST_F(OpenModelTest, StopsALongRunOnTheWay) {
  GraphBuilder b;
  ValueId x = b.Input(Shape({1, 256, 128, 128}));
  const ValueId weights = b.Weight(Shape({256, 256, 3, 3}));
  for (int i = 0; i < 300; ++i) {
    const ValueId y =
        b.Node(Op::kConv, {x, weights}, b.shape(x), graph::ConvAttributes{{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 1});
    x = b.Node(Op::kSoftsign, {y}, b.shape(x));
  }
  b.Output(x);
  CudaBackendOptions options;
  options.cpu.max_model_memory = int64_t{8} << 30;
  const auto model = CreateCudaOpenModel(*device_, b.graph(), options);
  ASSERT_TRUE(model.ok()) << model.status();
  std::atomic<int> questions = 0;
  const auto stopped = (*model)->Run(
      InputsOf(b.graph(), 1), [&] { return ++questions > 20 ? absl::CancelledError("enough") : absl::OkStatus(); });
  EXPECT_TRUE(absl::IsCancelled(stopped.status())) << stopped.status();
  EXPECT_EQ(questions, 21);
}

TEST_F(OpenModelTest, RefusesWhatTakesMoreMemoryThanAllowedOrThanThereIs) {
  CudaBackendOptions options;
  options.cpu.max_model_memory = 1000;
  const absl::Status over = CreateCudaOpenModel(*device_, SmallNetwork(), options).status();
  EXPECT_TRUE(absl::IsResourceExhausted(over)) << over;

  const auto small = Device::Open({.ordinal = 0, .max_memory = 100'000, .on_lost = nullptr});
  ASSERT_TRUE(small.ok()) << small.status();
  const absl::Status none = CreateCudaOpenModel(**small, SmallNetwork(), {}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(none)) << none;
  EXPECT_EQ((*small)->memory_in_use(), 0U);
}

TEST_F(OpenModelTest, LeavesToTheCpuWhatNoKernelRunsByNodeAndOperator) {
  GraphBuilder b;
  b.Output(b.Node(Op::kMatMul, {b.Input(Shape({2, 0})), b.Weight(Shape({0, 3}))}, Shape({2, 3})));
  const absl::Status status = CreateCudaOpenModel(*device_, b.graph(), {}).status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_THAT(std::string(status.message()), ::testing::AllOf(HasSubstr("node n0"), HasSubstr("MatMul")));
}

TEST_P(OpenModelPhotoTest, GivesTheReferenceOutputs) {
  if (!std::filesystem::exists(open_segment::FileOf(GetParam()))) {
    GTEST_SKIP() << "the evaluation data is not unpacked in build/testdata";
  }
  const auto graph = graph::ImportOnnx(open_segment::OnnxOf(GetParam()));
  ASSERT_TRUE(graph.ok()) << graph.status();
  const std::unique_ptr<Model> model = Load(*graph);
  ASSERT_NE(model, nullptr);
  for (const std::string photo : {"coral_parrot", "dusty_banana_0", "shicai_cat"}) {
    const open_segment::Photo example = open_segment::PhotoOf(GetParam(), photo);
    std::vector<Tensor> inputs;
    inputs.push_back(Tensor::Of<float>(graph->values[graph->inputs[0]].shape, example.input));
    const auto outputs = model->Run(std::move(inputs), {});
    ASSERT_TRUE(outputs.ok()) << outputs.status();
    open_segment::ExpectReference((*outputs)[0].values<float>(), example.expected);
  }
}

INSTANTIATE_TEST_SUITE_P(All, OpenModelPhotoTest, ::testing::ValuesIn(open_segment::kPhotoModels),
                         open_segment::NameOfModel);

}  // namespace
}  // namespace shoji::accelerator
