// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Dense layers of several rows whose result is float32, as heads of transformers and of networks with channels last
// have them: accelerators answer by channels, ONNX wants rows.
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "enclave_worker/core/model.h"
#include "lib/execution/program.h"
#include "lib/graph/onnx_import.h"
#include "lib/policy_file/policy_file.h"
#include "lib/quantization/calibrate.h"
#include "tests/support/fake_clock.h"
#include "tests/support/in_process_accelerator.h"
#include "tests/support/onnx_builder.h"

namespace shoji::enclave {
namespace {

using shoji::testing::OnnxBuilder;
using testing::InProcessAccelerator;

// Twelve pixels of five channels through a dense layer of seven, each with another bias.
graph::Graph RowsModel(const std::string& head) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 3, 4, 3}).Weight("w", {5, 3, 1, 1}).Ints("pixels", {1, 5, 12}).Ints("flat", {12, 5});
  builder.Node("Conv", {"x", "w"}, {"c"}).Node("Reshape", {"c", "pixels"}, {"p"});
  builder.Node("Transpose", {"p"}, {"rows"}).Attribute("perm", {0, 2, 1});
  builder.Weight("m", {5, 7}).Weight("b", {7}, {1, 2, 3, 4, 5, 6, 7});
  if (head == "MatMul") {
    builder.Node("MatMul", {"rows", "m"}, {"y"});
  } else if (head == "MatMul and bias") {
    builder.Node("MatMul", {"rows", "m"}, {"product"}).Node("Add", {"product", "b"}, {"y"});
  } else {
    builder.Node("Reshape", {"rows", "flat"}, {"two"}).Node("Gemm", {"two", "m", "b"}, {"y"});
  }
  return graph::ImportOnnx(builder.Output("y").Build()).value();
}

Tensor Input() {
  Tensor input(DataType::kFloat32, Shape({1, 3, 4, 3}));
  for (size_t i = 0; i < input.num_elements(); ++i) {
    input.mutable_values<float>()[i] = static_cast<float>((i * 17) % 41) / 20.0F - 1;
  }
  return input;
}

class RowsStageTest : public ::testing::TestWithParam<std::string> {
 protected:
  RowsStageTest() {
    auto accelerator = std::make_unique<InProcessAccelerator>("acc0");
    accelerator_ = accelerator.get();
    std::vector<AcceleratorRegistry::Member> members(1);
    members[0].identity = {.name = "acc0",
                           .operator_name = "alice",
                           .public_key = Bytes{1},
                           .address = "host:1",
                           .link = partition::LinkSecurity::kMutualTls};
    members[0].accelerator = std::move(accelerator);
    registry_ = std::make_unique<AcceleratorRegistry>(std::move(members));
    auto calibrator =
        quantization::Calibrator::Create(RowsModel(GetParam()), quantization::CalibrationMethod::kMinMax).value();
    const Tensor input = Input();
    for (int pass = 0; pass < calibrator->num_passes(); ++pass) {
      if (pass > 0) {
        calibrator->NextPass();
      }
      EXPECT_TRUE(calibrator->Observe({&input}).ok());
    }
    ranges_ = calibrator->Finish().value();
  }

  // The answer to Input() under `policy`, and its events.
  std::vector<float> Answer(const std::string& policy) {
    const ModelContext context = {
        .accelerators = *registry_,
        .readiness = readiness_,
        .slots = slots_,
        .clock = clock_,
        .quarantine = quarantine_,
        .filler = filler_,
        .events = [](const EnclaveEvent& event) { EXPECT_NE(event.kind, EnclaveEventKind::kCheckFailed); }};
    ModelSource source;
    source.name = "m";
    source.model.graph = RowsModel(GetParam());
    source.policy = policy_file::ParsePolicy("model: m\n" + policy, "policy").value();
    source.ranges = ranges_;
    auto model = Model::Create(std::move(source), context);
    EXPECT_TRUE(model.ok()) << model.status();
    if (!model.ok()) {
      return {};
    }
    SecretTensors live;
    live.Put("x", Input());
    RunContext run(clock_.SteadyNow() + std::chrono::hours(1));
    const absl::Status ran = (*model)->Run(live, run);
    EXPECT_TRUE(ran.ok()) << ran;
    const std::span<const float> values = live.Find("y")->values<float>();
    return {values.begin(), values.end()};
  }

  const RealClock clock_;
  ReadinessSignal readiness_;
  ComputeSlots slots_{4, clock_};
  Quarantine quarantine_{clock_, {}};
  PadFiller filler_{1};
  InProcessAccelerator* accelerator_ = nullptr;
  std::unique_ptr<AcceleratorRegistry> registry_;
  quantization::ActivationRanges ranges_;
};

TEST_P(RowsStageTest, EveryPlacementGivesTheSameBitsInTheOrderOfRows) {
  const std::vector<float> expected = Answer("segments: [{from: input, place: enclave, precision: int8}]\n");
  ASSERT_EQ(expected.size(), 84U);
  for (const char* policy : {"segments: [{from: input, place: verified}]\n",
                             "segments: [{from: input, place: blinded}]\nmasking: {pool: {on_empty: wait}}\n",
                             "segments: [{from: input, place: blinded, verify: false}]\n"
                             "masking: {pool: {on_empty: wait}}\n"}) {
    const size_t before = accelerator_->num_executions();
    EXPECT_EQ(Answer(policy), expected) << policy;
    EXPECT_EQ(accelerator_->num_executions() - before, 2U) << policy;
  }
  // In the right order: float32 gives nearly the same.
  const std::vector<float> exact = Answer("segments: [{from: input, place: enclave}]\n");
  ASSERT_EQ(exact.size(), expected.size());
  for (size_t i = 0; i < exact.size(); ++i) {
    EXPECT_NEAR(expected[i], exact[i], 0.05F) << "at " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Heads, RowsStageTest, ::testing::Values("MatMul", "MatMul and bias", "Gemm"),
                         [](const auto& parameter) {
                           return parameter.param == "MatMul and bias" ? std::string("MatMulAndBias") : parameter.param;
                         });

}  // namespace
}  // namespace shoji::enclave
