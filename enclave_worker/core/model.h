// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// One model as an enclave serves it: the graph cut by its policy, a program for each segment that runs in the enclave,
// a registered sub-model for each that is open, and the digests that the manifest states, computed from these very
// things.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "enclave_worker/core/accelerator_registry.h"
#include "enclave_worker/core/compute_slots.h"
#include "enclave_worker/core/readiness_signal.h"
#include "enclave_worker/core/secret_tensors.h"
#include "enclave_worker/core/workspace_pool.h"
#include "lib/attest/manifest.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/execution/program.h"
#include "lib/image/preprocessing.h"
#include "lib/partition/plan.h"

namespace shoji::enclave {

// What an operator gives for one model; read by the shell, not yet believed.
struct ModelSource {
  std::string name;
  Bytes onnx;
  Bytes labels;                                       // UTF-8, one a line; empty: none
  std::optional<image::Preprocessing> preprocessing;  // none: the model takes tensors only
  partition::PartitionPolicy policy;
};

// What every model of a process shares; outlives them.
struct ModelContext {
  AcceleratorRegistry& accelerators;
  const ReadinessSignal& readiness;  // that all the accelerators notify
  ComputeSlots& slots;
  const Clock& clock;
  int threads_per_run = 1;
};

// Immutable and thread-safe once made; any number of runs at the same time.
class Model {
 public:
  // Imports, resolves the policy, compiles the enclave's segments and registers the open ones with the accelerators.
  // Errors name the model and what is wrong with it.
  static absl::StatusOr<std::unique_ptr<Model>> Create(const ModelSource& source, const ModelContext& context);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  ~Model();

  const std::string& name() const { return manifest_.name; }
  const attest::ModelManifest& manifest() const { return manifest_; }
  const Bytes& preprocessing_bytes() const { return preprocessing_bytes_; }
  const std::optional<image::Preprocessing>& preprocessing() const { return preprocessing_; }
  const Bytes& labels() const { return labels_; }
  const partition::ResolvedPlan& plan() const { return plan_; }
  // The reason why a request sent now would fail; empty: none known.
  std::string NotReadyBecause() const;

  // Bytes of all inputs, and of all outputs, as they stand in a request and an answer.
  size_t input_bytes() const { return input_bytes_; }
  size_t output_bytes() const { return output_bytes_; }

  // Runs every segment on `live`, which holds the model's inputs, and leaves the model's outputs in it. What no later
  // segment reads is wiped on the way. Errors carry a Reason: NO_ACCELERATOR, DEADLINE, INTERNAL.
  absl::Status Run(SecretTensors& live, SteadyTime deadline) const;

 private:
  struct Stage;
  explicit Model(ComputeSlots& slots);

  absl::Status AddStage(const graph::Graph& graph, const partition::Segment& segment, const ModelContext& context);
  absl::Status AddOpenStage(const graph::Graph& part, const ModelContext& context, Stage& stage);
  absl::Status FillManifest(const ModelSource& source, const graph::Graph& graph);
  absl::Status CheckPreprocessing() const;
  absl::Status CheckLabels() const;
  absl::Status RunEnclaveStage(const Stage& stage, SecretTensors& live, SteadyTime deadline) const;
  absl::Status RunOpenStage(const Stage& stage, SecretTensors& live, SteadyTime deadline) const;

  attest::ModelManifest manifest_;
  std::optional<image::Preprocessing> preprocessing_;
  Bytes preprocessing_bytes_;
  Bytes labels_;
  partition::ResolvedPlan plan_;
  size_t input_bytes_ = 0;
  size_t output_bytes_ = 0;
  ComputeSlots& slots_;
  std::vector<std::unique_ptr<Stage>> stages_;
};

}  // namespace shoji::enclave
