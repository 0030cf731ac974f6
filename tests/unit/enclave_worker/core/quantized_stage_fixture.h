// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The built-in model with accelerators in the test's own process, under policies that the test chooses.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "enclave_worker/core/model.h"
#include "lib/base/file.h"
#include "lib/graph/onnx_import.h"
#include "lib/policy_file/policy_file.h"
#include "lib/quantization/calibrate.h"
#include "tests/support/in_process_accelerator.h"

namespace shoji::enclave {

inline const std::string kEnclaveInt8 = "segments: [{from: input, place: enclave, precision: int8}]\n";
inline const std::string kBlinded = "segments: [{from: input, place: blinded}]\n";
inline const std::string kVerified = "segments: [{from: input, place: verified}]\n";
inline const std::string kShares = kBlinded + "masking: {source: shares}\n";

inline Tensor RandomInput(uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> values(-2, 2);
  Tensor input(DataType::kFloat32, Shape({1, 3, 32, 32}));
  for (float& value : input.mutable_values<float>()) {
    value = values(random);
  }
  return input;
}

class QuantizedStageFixture : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (onnx_ != nullptr) {
      return;  // another suite has
    }
    const auto onnx = ReadFile(std::string(SHOJI_SOURCE_DIR) + "/models/cifar10_resnet.onnx", size_t{1} << 26);
    ASSERT_TRUE(onnx.ok());
    onnx_ = new Bytes(*onnx);
    const auto graph = graph::ImportOnnx(*onnx_);
    ASSERT_TRUE(graph.ok());
    auto calibrator = quantization::Calibrator::Create(*graph, quantization::CalibrationMethod::kMinMax);
    ASSERT_TRUE(calibrator.ok()) << calibrator.status();
    for (uint32_t seed = 0; seed < 4; ++seed) {
      const Tensor input = RandomInput(seed);
      ASSERT_TRUE((*calibrator)->Observe({&input}).ok());
    }
    const auto ranges = (*calibrator)->Finish();
    ASSERT_TRUE(ranges.ok()) << ranges.status();
    ranges_ = new quantization::ActivationRanges(*ranges);
  }

  QuantizedStageFixture() {
    std::vector<AcceleratorRegistry::Member> members;
    for (size_t i = 0; i < 3; ++i) {
      auto accelerator = std::make_unique<testing::InProcessAccelerator>("acc" + std::to_string(i));
      accelerators_.push_back(accelerator.get());
      AcceleratorRegistry::Member member;
      member.identity = {.name = accelerator->name(),
                         .operator_name = i == 0 ? "alice" : "bob",
                         .public_key = i == 0 ? Bytes{1} : Bytes{2},
                         .address = "host" + std::to_string(i) + ":1",
                         .link = partition::LinkSecurity::kMutualTls};
      member.accelerator = std::move(accelerator);
      members.push_back(std::move(member));
    }
    registry_ = std::make_unique<AcceleratorRegistry>(std::move(members));
  }

  ModelContext Context(int threads = 1) {
    return {.accelerators = *registry_,
            .readiness = readiness_,
            .slots = slots_,
            .clock = clock_,
            .quarantine = quarantine_,
            .filler = filler_,
            .events =
                [this](const EnclaveEvent& event) {
                  const absl::MutexLock lock(&events_mu_);
                  events_.push_back(event);
                },
            .threads_per_run = threads};
  }

  // The same but for who makes the pads.
  ModelContext ContextWith(PadFiller& filler) {
    const ModelContext usual = Context();
    return {.accelerators = usual.accelerators,
            .readiness = usual.readiness,
            .slots = usual.slots,
            .clock = usual.clock,
            .quarantine = usual.quarantine,
            .filler = filler,
            .events = usual.events};
  }

  std::unique_ptr<Model> Load(const std::string& policy, const ModelContext& context) {
    const auto parsed = policy_file::ParsePolicy("model: m\n" + policy, "policy");
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    ModelSource source;
    source.name = "m";
    source.model.graph = graph::ImportOnnx(*onnx_).value();
    source.policy = *parsed;
    source.ranges = *ranges_;
    auto model = Model::Create(source, context);
    EXPECT_TRUE(model.ok()) << model.status();
    return model.ok() ? *std::move(model) : nullptr;
  }

  // The answer to RandomInput(seed), as bits.
  absl::StatusOr<Bytes> Answer(const Model& model, uint32_t seed,
                               std::chrono::seconds patience = std::chrono::hours(1)) {
    SecretTensors live;
    live.Put(model.manifest().inputs[0].name, RandomInput(seed));
    RunContext run(clock_.SteadyNow() + patience);
    if (absl::Status ran = model.Run(live, run); !ran.ok()) {
      return ran;
    }
    const ByteSpan out = live.Find(model.manifest().outputs[0].name)->bytes();
    return Bytes(out.begin(), out.end());
  }

  Bytes Expected(uint32_t seed) {
    const ModelContext context = Context();
    const auto model = Load(kEnclaveInt8, context);
    const auto answer = Answer(*model, seed);
    EXPECT_TRUE(answer.ok());
    return *answer;
  }

  size_t NumEvents(EnclaveEventKind kind) {
    const absl::MutexLock lock(&events_mu_);
    return static_cast<size_t>(
        std::count_if(events_.begin(), events_.end(), [&](const EnclaveEvent& e) { return e.kind == kind; }));
  }
  size_t NumExecutions() const {
    size_t count = 0;
    for (const testing::InProcessAccelerator* accelerator : accelerators_) {
      count += accelerator->num_executions();
    }
    return count;
  }

  inline static Bytes* onnx_ = nullptr;
  inline static quantization::ActivationRanges* ranges_ = nullptr;
  const RealClock clock_;
  ReadinessSignal readiness_;
  ComputeSlots slots_{4, clock_};
  Quarantine quarantine_{clock_, {}};
  PadFiller filler_{1};
  absl::Mutex events_mu_;
  std::vector<EnclaveEvent> events_;
  std::vector<testing::InProcessAccelerator*> accelerators_;
  std::unique_ptr<AcceleratorRegistry> registry_;
};

}  // namespace shoji::enclave
