// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/open_self_test.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu_worker/cpu/open_model.h"
#include "gpu_worker/cuda/open_plan.h"
#include "tests/unit/gpu_worker/cuda/host_machine.h"

namespace shoji::accelerator {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

absl::StatusOr<std::unique_ptr<Model>> CpuModel(const graph::Graph& graph) { return CreateCpuOpenModel(graph, {}); }

// Changes the outputs of `batch` requests in the run after `runs_before` others.
using Spoil = std::function<void(std::vector<Tensor>& outputs, size_t runs_before, size_t batch)>;

class SpoiledModel final : public Model {
 public:
  SpoiledModel(std::unique_ptr<Model> model, Spoil spoil) : model_(std::move(model)), spoil_(std::move(spoil)) {}

  absl::StatusOr<std::vector<Tensor>> Run(std::vector<Tensor> inputs, const StopCheck& stop) override {
    return RunBatch(std::move(inputs), 1, stop);
  }
  absl::StatusOr<std::vector<Tensor>> RunBatch(std::vector<Tensor> inputs, size_t batch,
                                               const StopCheck& stop) override {
    auto outputs = model_->RunBatch(std::move(inputs), batch, stop);
    if (outputs.ok()) {
      spoil_(*outputs, num_runs_++, batch);
    }
    return outputs;
  }
  uint64_t memory_bytes() const override { return model_->memory_bytes(); }

 private:
  const std::unique_ptr<Model> model_;
  const Spoil spoil_;
  size_t num_runs_ = 0;
};

// Of the CPU's models with that network's spoiled, counted from 0.
absl::Status TestSpoiled(size_t network, const Spoil& spoil) {
  size_t made = 0;
  return TestOpenModels([&](const graph::Graph& graph) -> absl::StatusOr<std::unique_ptr<Model>> {
    auto model = CpuModel(graph);
    if (made++ == network) {
      return std::make_unique<SpoiledModel>(*std::move(model), spoil);
    }
    return model;
  });
}

void AddToLastValue(Tensor& tensor, float part_of_largest) {
  float largest = 0;
  for (const float value : tensor.values<float>()) {
    largest = std::max(largest, std::abs(value));
  }
  tensor.mutable_values<float>().back() += part_of_largest * largest;
}

TEST(OpenSelfTest, TheModelsOfTheCpuPass) { EXPECT_TRUE(TestOpenModels(CpuModel).ok()); }

TEST(OpenSelfTest, OneValueThatIsOffByAThousandthIsFoundInEachNetwork) {
  const char* const names[] = {"convolutions",    "wide convolutions", "a deep convolution",    "grouped convolutions",
                               "matrix products", "poolings",          "operators on elements", "arrangements"};
  for (size_t i = 0; i < std::size(names); ++i) {
    const absl::Status status =
        TestSpoiled(i, [](std::vector<Tensor>& outputs, size_t, size_t) { AddToLastValue(outputs.front(), 1e-3F); });
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_THAT(
        std::string(status.message()),
        AllOf(HasSubstr(std::string("open segments, ") + names[i] + ": output 0 has "), HasSubstr("the CPU has")));
  }
}

TEST(OpenSelfTest, OtherRoundingsPass) {
  EXPECT_TRUE(TestSpoiled(0, [](std::vector<Tensor>& outputs, size_t, size_t) {
                for (Tensor& output : outputs) {
                  AddToLastValue(output, 5e-5F);
                }
              }).ok());
}

TEST(OpenSelfTest, ANotANumberIsFound) {
  const absl::Status status = TestSpoiled(4, [](std::vector<Tensor>& outputs, size_t, size_t) {
    outputs.back().mutable_values<float>().front() = std::numeric_limits<float>::quiet_NaN();
  });
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("matrix products"), HasSubstr("nan")));
}

TEST(OpenSelfTest, ASecondRunWithOtherBitsIsFound) {
  const absl::Status status = TestSpoiled(2, [](std::vector<Tensor>& outputs, size_t runs_before, size_t) {
    AddToLastValue(outputs.back(), runs_before == 1 ? 1e-6F : 0);
  });
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("a deep convolution"), HasSubstr("in a second run")));
}

TEST(OpenSelfTest, ABatchWithOtherBitsThanARequestAloneIsFound) {
  const absl::Status status = TestSpoiled(0, [](std::vector<Tensor>& outputs, size_t, size_t batch) {
    AddToLastValue(outputs.back(), batch > 1 ? 1e-6F : 0);
  });
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("convolutions"), HasSubstr("beside another one")));
}

TEST(OpenSelfTest, TheOtherRequestOfABatchIsComparedToo) {
  const absl::Status status = TestSpoiled(0, [](std::vector<Tensor>& outputs, size_t, size_t batch) {
    AddToLastValue(outputs.front(), batch > 1 ? 1e-3F : 0);
  });
  EXPECT_THAT(std::string(status.message()), HasSubstr("the CPU has"));
}

TEST(OpenSelfTest, OutputsOfAnotherNumberOrShapeAreFound) {
  for (const size_t batch_without_last : {size_t{1}, size_t{2}}) {
    EXPECT_TRUE(absl::IsInternal(TestSpoiled(0, [&](std::vector<Tensor>& outputs, size_t, size_t batch) {
      if (batch == batch_without_last) {
        outputs.pop_back();
      }
    })));
  }
  EXPECT_TRUE(absl::IsInternal(TestSpoiled(0, [](std::vector<Tensor>& outputs, size_t, size_t) {
    outputs.back() = Tensor(DataType::kFloat32, Shape({1, 2}));
  })));
}

TEST(OpenSelfTest, WhatAModelAnswersIsPassedOnWithTheNetwork) {
  const absl::Status status = TestOpenModels(
      [](const graph::Graph&) -> absl::StatusOr<std::unique_ptr<Model>> { return absl::UnavailableError("gone"); });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("convolutions"), HasSubstr("gone")));
}

using open_segment::Kernel;

// The kernel of open_launch.cu that runs it.
template <typename Args>
std::string FormOf(const Args& args) {
  using open_segment::DenseArgs;
  if constexpr (std::is_same_v<Args, open_segment::MultiplyArgs>) {
    return std::to_string(static_cast<int>(args.tile)) + (args.taps != nullptr ? " taps" : " plain");
  } else if constexpr (std::is_same_v<Args, DenseArgs>) {
    return args.inputs % 4 != 0 ? "odd" : args.outputs >= 1024 ? "many" : "few";
  } else if constexpr (std::is_same_v<Args, open_segment::MapArgs>) {
    return (args.channels == 1 ? args.count : args.inner) % 4 == 0 ? "fours" : "odd";
  } else if constexpr (std::is_same_v<Args, open_segment::WindowPoolArgs> ||
                       std::is_same_v<Args, open_segment::ReduceArgs>) {
    return std::to_string(static_cast<int>(args.kind));
  } else {
    return "";
  }
}

// Runs on this host what a device would, and notes which kernels it were.
class HostModel final : public Model {
 public:
  HostModel(open_segment::OpenPlan plan, std::set<std::pair<size_t, std::string>>& reached)
      : plan_(std::move(plan)), machine_(plan_) {
    std::vector<uint8_t> arena(plan_.arena_bytes);
    std::vector<uint8_t> constants(plan_.constant_bytes);
    for (const Kernel& kernel : plan_.Bind(arena.data(), constants.data())) {
      reached.emplace(kernel.index(), std::visit([](const auto& args) { return FormOf(args); }, kernel));
    }
  }
  absl::StatusOr<std::vector<Tensor>> Run(std::vector<Tensor> inputs, const StopCheck& /*stop*/) override {
    return machine_.Run(inputs);
  }
  uint64_t memory_bytes() const override { return plan_.arena_bytes; }

 private:
  const open_segment::OpenPlan plan_;
  open_segment::HostMachine machine_;
};

TEST(OpenSelfTest, TheNetworksReachEveryKernelOfLargeAndSmallDevices) {
  for (const int num_multiprocessors : {16, 40, 108, 132, 200}) {
    std::set<std::pair<size_t, std::string>> reached;
    for (const int cut_for : {num_multiprocessors, 1}) {
      const absl::Status status =
          TestOpenModels([&](const graph::Graph& graph) -> absl::StatusOr<std::unique_ptr<Model>> {
            auto plan = open_segment::PlanOpenModel(graph, {.num_multiprocessors = cut_for});
            if (!plan.ok()) {
              return plan.status();
            }
            return std::make_unique<HostModel>(*std::move(plan), reached);
          });
      EXPECT_TRUE(status.ok()) << status;
    }
    std::set<size_t> kinds;
    for (const auto& [kind, form] : reached) {
      kinds.insert(kind);
    }
    EXPECT_EQ(kinds.size(), std::variant_size_v<Kernel>);
    // Beside one of each kind, seven more products, two dense layers, a map, two poolings and a reduction.
    EXPECT_EQ(reached.size(), std::variant_size_v<Kernel> + 13) << ::testing::PrintToString(reached);
  }
}

}  // namespace
}  // namespace shoji::accelerator
