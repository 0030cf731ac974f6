// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cpu/cpu_backend.h"

#include <string>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/onnx_builder.h"

namespace shoji::accelerator {
namespace {

using shoji::testing::OnnxBuilder;
using ::testing::HasSubstr;

// y = max(x w, 0), w the 2x2 identity.
Bytes SmallModel() {
  return OnnxBuilder()
      .Input("x", {1, 2})
      .Weight("w", {2, 2}, {1, 0, 0, 1})
      .Node("MatMul", {"x", "w"}, {"z"})
      .Node("Relu", {"z"}, {"y"})
      .Output("y")
      .Build();
}

std::vector<Tensor> Inputs(const std::vector<float>& values) {
  std::vector<Tensor> inputs;
  inputs.push_back(Tensor::Of<float>(Shape({1, static_cast<int64_t>(values.size())}), values));
  return inputs;
}

TEST(CpuBackendTest, LoadsAndRunsAnOnnxModel) {
  const auto backend = CreateCpuBackend({});
  EXPECT_EQ(backend->name(), "cpu");
  const auto model = backend->Load(SmallModel());
  ASSERT_TRUE(model.ok()) << model.status();
  const auto outputs = (*model)->Run(Inputs({3, -4}), SteadyTime::max());
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  ASSERT_EQ(outputs->size(), 1U);
  EXPECT_THAT((*outputs)[0].values<float>(), ::testing::ElementsAre(3, 0));
}

TEST(CpuBackendTest, RunsAtTheSameTimeDoNotMix) {
  const auto backend = CreateCpuBackend({});
  const auto model = backend->Load(SmallModel());
  ASSERT_TRUE(model.ok()) << model.status();
  std::vector<std::jthread> threads;
  for (int t = 1; t <= 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const auto x = static_cast<float>(t * 1000 + i);
        const auto outputs = (*model)->Run(Inputs({x, -x}), SteadyTime::max());
        ASSERT_TRUE(outputs.ok());
        EXPECT_EQ((*outputs)[0].values<float>()[0], x);
      }
    });
  }
}

TEST(CpuBackendTest, RefusesInputsThatAreNotTheModels) {
  const auto backend = CreateCpuBackend({});
  const auto model = backend->Load(SmallModel());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_TRUE(absl::IsInvalidArgument((*model)->Run({}, SteadyTime::max()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument((*model)->Run(Inputs({1, 2, 3}), SteadyTime::max()).status()));
}

TEST(CpuBackendTest, RefusesBytesThatAreNoModelAndOperatorsItDoesNotKnow) {
  const auto backend = CreateCpuBackend({});
  EXPECT_TRUE(absl::IsInvalidArgument(backend->Load(ToBytes("junk")).status()));
  EXPECT_FALSE(backend->Load({}).ok());
  const Bytes unknown =
      OnnxBuilder().Input("x", {1, 2}).Node("Erf", {"x"}, {"y"}).Named("the_node").Output("y").Build();
  const absl::Status status = backend->Load(unknown).status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_THAT(std::string(status.message()), ::testing::AllOf(HasSubstr("Erf"), HasSubstr("the_node")));
}

TEST(CpuBackendTest, RefusesASmallFileThatUnfoldsToMoreMemoryThanAllowed) {
  OnnxBuilder builder;
  builder.Input("v0", {1, 1000});
  std::string last = "v0";
  for (int i = 1; i <= 20; ++i) {
    const std::string next = "v" + std::to_string(i);
    builder.Node("Relu", {last}, {next});
    last = next;
  }
  const Bytes onnx = builder.Output(last).Build();
  EXPECT_TRUE(CreateCpuBackend({.max_model_memory = 100'000})->Load(onnx).ok());
  const absl::Status status = CreateCpuBackend({.max_model_memory = 50'000})->Load(onnx).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("quotas.model_memory"));
}

}  // namespace
}  // namespace shoji::accelerator
