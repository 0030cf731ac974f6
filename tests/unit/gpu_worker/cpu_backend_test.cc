// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cpu/cpu_backend.h"

#include <unistd.h>

#include <barrier>
#include <fstream>
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
  EXPECT_EQ(backend->name(), "cpu/portable");
  const auto model = backend->Load(SmallModel());
  ASSERT_TRUE(model.ok()) << model.status();
  const auto outputs = (*model)->Run(Inputs({3, -4}), {});
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
        const auto outputs = (*model)->Run(Inputs({x, -x}), {});
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
  EXPECT_TRUE(absl::IsInvalidArgument((*model)->Run({}, {}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument((*model)->Run(Inputs({1, 2, 3}), {}).status()));
}

TEST(CpuBackendTest, RefusesBytesThatAreNoModelAndOperatorsItDoesNotKnow) {
  const auto backend = CreateCpuBackend({});
  EXPECT_TRUE(absl::IsInvalidArgument(backend->Load(ToBytes("junk")).status()));
  EXPECT_FALSE(backend->Load({}).ok());
  const Bytes unknown =
      OnnxBuilder().Input("x", {1, 2}).Node("Resize", {"x"}, {"y"}).Named("the_node").Output("y").Build();
  const absl::Status status = backend->Load(unknown).status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_THAT(std::string(status.message()), ::testing::AllOf(HasSubstr("Resize"), HasSubstr("the_node")));
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

TEST(CpuBackendTest, RefusesAModelOfMoreWorkThanAllowedAndSaysBothNumbers) {
  EXPECT_TRUE(CreateCpuBackend({.max_model_macs = 6})->Load(SmallModel()).ok());  // 4 in MatMul, 2 in Relu
  const absl::Status status = CreateCpuBackend({.max_model_macs = 5})->Load(SmallModel()).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              ::testing::AllOf(HasSubstr("takes 6 "), HasSubstr("may take 5 "), HasSubstr("quotas.model_macs")));
}

TEST(CpuBackendTest, RefusesASmallFileWhosePoolingWindowsAreYearsOfWork) {
  const Bytes onnx = OnnxBuilder()
                         .Input("x", {1, 1, 4096, 4096})
                         .Node("MaxPool", {"x"}, {"y"})
                         .Attribute("kernel_shape", std::vector<int64_t>{2047, 2047})
                         .Attribute("pads", std::vector<int64_t>{1023, 1023, 1023, 1023})
                         .Output("y")
                         .Build();
  const absl::Status status = CreateCpuBackend({})->Load(onnx).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("quotas.model_macs"));
}

TEST(CpuBackendTest, BoundsWhatKernelsAllocateByTheModelsMemoryToo) {
  const Bytes onnx = OnnxBuilder()
                         .Input("x", {1, 2, 8, 8})
                         .Weight("w", {2, 2, 3, 3})
                         .Node("Conv", {"x", "w"}, {"y"})
                         .Output("y")
                         .Build();
  const auto model = CreateCpuBackend({})->Load(onnx);
  ASSERT_TRUE(model.ok()) << model.status();
  // The values alone take 512 + 144 + 288 bytes; a padded copy of the weights takes more.
  EXPECT_GT((*model)->memory_bytes(), 1000U);
  const absl::Status status = CreateCpuBackend({.max_model_memory = 1000})->Load(onnx).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

TEST(CpuBackendTest, StopsBetweenOperatorsAndServesTheNextRun) {
  const auto backend = CreateCpuBackend({});
  const auto model = backend->Load(SmallModel());
  ASSERT_TRUE(model.ok()) << model.status();
  const auto stopped = (*model)->Run(Inputs({3, -4}), [] { return absl::DeadlineExceededError("too late"); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(stopped.status())) << stopped.status();
  EXPECT_TRUE((*model)->Run(Inputs({3, -4}), {}).ok());
}

size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  size_t pages = 0;
  file >> pages >> pages;
  return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

TEST(CpuBackendTest, KeepsTheMemoryOfOneRunHoweverManyRanAtTheSameTime) {
  constexpr size_t kRuns = 4;
  constexpr int64_t kPadding = int64_t{8} << 20;  // elements, so 32 MiB a run
  const Bytes onnx = OnnxBuilder()
                         .Input("x", {1, 2})
                         .Ints("pads", {0, 0, 0, kPadding})
                         .Node("Pad", {"x", "pads"}, {"wide"})
                         .Node("Sigmoid", {"wide"}, {"z"})
                         .Node("ReduceMean", {"z"}, {"y"})
                         .Output("y")
                         .Build();
  const auto model = CreateCpuBackend({})->Load(onnx);
  ASSERT_TRUE(model.ok()) << model.status();
  const size_t one_run = (*model)->memory_bytes();
  ASSERT_GE(one_run, size_t{32} << 20);
  const size_t before = ResidentBytes();
  std::barrier all_have_memory(kRuns);
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < kRuns; ++i) {
      threads.emplace_back([&] {
        bool waited = false;
        const auto outputs = (*model)->Run(Inputs({1, 2}), [&] {
          if (!waited) {
            waited = true;
            all_have_memory.arrive_and_wait();
          }
          return absl::OkStatus();
        });
        EXPECT_TRUE(outputs.ok()) << outputs.status();
      });
    }
  }
  EXPECT_LT(ResidentBytes(), before + one_run + one_run / 2);
}

}  // namespace
}  // namespace shoji::accelerator
