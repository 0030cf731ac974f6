// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The enclave's core in the test's own process, with accelerators that are processes of their own behind real sockets:
// for tests that try thousands of policies and answers, and whose checks a mutant can switch off.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "enclave_worker/core/model.h"
#include "enclave_worker/service/accelerator/accelerator_client.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/graph/graph.h"
#include "lib/partition/policy.h"
#include "lib/quantization/activation_ranges.h"
#include "tests/support/process.h"

namespace shoji::enclave {

// A model with ranges calibrated on random inputs.
struct NamedModel {
  std::string name;
  Bytes onnx;
  graph::Graph graph;
  quantization::ActivationRanges ranges;
};

Tensor RandomInput(const graph::Graph& graph, std::mt19937& random);
NamedModel ReadModel(const std::string& file);
std::string Describe(const partition::PartitionPolicy& policy);

class CoreFixture : public ::testing::Test {
 protected:
  struct AcceleratorProcess {
    std::string binary = "shoji-accelerator";
    std::vector<std::string> arguments = {};
  };
  struct Options {
    Quarantine::Options quarantine = {};
    std::chrono::nanoseconds offload_timeout = std::chrono::minutes(5);
    size_t max_message_bytes = size_t{64} << 20;
  };

  // Starts accelerators acc0, acc1, ..., of operators operator-acc0, ..., and connects. Once a test.
  void Start(const std::vector<AcceleratorProcess>& accelerators, const Options& options);

  // Ready, with every layer uploaded to every accelerator that serves it; null after a failed expectation.
  std::unique_ptr<Model> Load(const NamedModel& model, const partition::PartitionPolicy& policy);
  // Null without a failed expectation where the model has not what the policy names.
  std::unique_ptr<Model> LoadIfItFits(const NamedModel& model, const partition::PartitionPolicy& policy);
  // The model's outputs, as bits.
  absl::StatusOr<Bytes> Answer(const Model& model, const Tensor& input);
  // The same for several inputs that go through the model together.
  std::vector<absl::StatusOr<Bytes>> AnswerTogether(const Model& model, const std::vector<Tensor>& inputs);

  // Events of the core but for empty pools.
  size_t NumEvents() const { return num_events_; }
  std::string FileOf(size_t accelerator, const std::string& what) const {
    return dir_.File("acc" + std::to_string(accelerator) + "." + what);
  }

 private:
  AcceleratorRegistry::Member Connect(const std::string& name, const std::string& socket, size_t max_message_bytes);

  const testing::TempDir dir_;
  const RealClock clock_;
  ReadinessSignal readiness_;
  ComputeSlots slots_{4, clock_};
  PadFiller filler_{1};
  std::atomic<size_t> num_events_ = 0;
  std::vector<std::unique_ptr<testing::Process>> processes_;
  std::unique_ptr<Quarantine> quarantine_;
  std::unique_ptr<AcceleratorRegistry> registry_;
  std::unique_ptr<ModelContext> context_;
};

}  // namespace shoji::enclave
