// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// One model as an enclave serves it: the graph cut by its policy, a program for each segment that runs in the enclave,
// a registered sub-model for each that is open, and the digests that the manifest states, computed from these very
// things.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "enclave_worker/core/batcher.h"
#include "enclave_worker/core/model_context.h"
#include "enclave_worker/core/run_context.h"
#include "enclave_worker/core/sealed_source.h"
#include "enclave_worker/core/secret_tensors.h"
#include "enclave_worker/core/service_time.h"
#include "enclave_worker/core/stage.h"
#include "lib/attest/manifest.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/graph/graph.h"
#include "lib/graph/onnx_import.h"
#include "lib/image/preprocessing.h"
#include "lib/partition/plan.h"
#include "lib/quantization/activation_ranges.h"

namespace shoji::enclave {

// What an operator gives for one model; read by the shell, not yet believed.
struct ModelSource {
  std::string name;
  graph::ImportedModel model;
  Bytes labels;                                       // UTF-8, one a line; empty: none
  std::optional<image::Preprocessing> preprocessing;  // none: the model takes tensors only
  partition::PartitionPolicy policy;
  std::optional<quantization::ActivationRanges> ranges;  // calibrated; none: no segment computes in int8
  std::optional<SealedSource> sealed;                    // of a model that came sealed; its terms bind the policy
  BatchingOptions batching;
};

// Immutable and thread-safe once made; any number of runs at the same time.
class Model {
 public:
  // Resolves the policy, compiles the enclave's segments and registers the open ones with the accelerators. Lets each
  // weight go as soon as it stands in the form that kernels want.
  // Errors name the model and what is wrong with it.
  static absl::StatusOr<std::unique_ptr<Model>> Create(ModelSource source, const ModelContext& context);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  ~Model();

  const std::string& name() const { return manifest_.name; }
  const attest::ModelManifest& manifest() const { return manifest_; }
  const Bytes& preprocessing_bytes() const { return preprocessing_bytes_; }
  const std::optional<image::Preprocessing>& preprocessing() const { return preprocessing_; }
  const Bytes& labels() const { return labels_; }
  const partition::ResolvedPlan& plan() const { return plan_; }
  // The form in which results may leave.
  const attest::ResultRule& results() const { return results_; }
  // The reason why a request sent now would fail; empty: none known.
  std::string NotReadyBecause() const;
  ModelCounts counts() const;
  // Counts one more query, before it is executed. BUDGET_EXHAUSTED when the owner of a sealed model allows none any
  // more.
  absl::Status TakeQuery() const;

  // Bytes of all inputs, and of all outputs, as they stand in a request and an answer.
  size_t input_bytes() const { return input_bytes_; }
  size_t output_bytes() const { return output_bytes_; }

  // Runs every segment on `live`, which holds the model's inputs, and leaves the model's outputs in it. What no later
  // segment reads is wiped on the way. Errors carry a Reason: NO_ACCELERATOR, DEADLINE, INTERNAL.
  absl::Status Run(SecretTensors& live, RunContext& run) const;
  // One request as it comes: in a batch with others where its operator wants that. `arrival`:
  // from Arrive(), or empty. Returns the outputs; errors as Run's, and CANCELLED.
  absl::StatusOr<SecretTensors> Infer(SecretTensors inputs, RunContext& run, Batcher::Arrival arrival) const;
  // Says that a request for this model is on its way; call before it is decrypted.
  Batcher::Arrival Arrive() const;
  // Whether a request waits for nobody on its way, accelerators and batches included.
  bool IsLocal() const { return is_local_; }
  // Of its requests, from the sealed one to the sealed answer.
  ServiceTime& service_time() const { return service_time_; }
  // Run for several requests together: each has the answer that it would have alone, or its own error.
  void RunBatch(std::span<BatchItem> items) const;

 private:
  Model() = default;

  absl::Status AddStages(graph::Graph graph, const ModelSource& source, const ModelContext& context);
  void FindDeadTensors();
  absl::Status FillManifest(const ModelSource& source, const graph::Graph& graph);
  void StateUnopened(const graph::Graph& graph);
  absl::Status Enforce(const SealedSource& sealed, const std::vector<std::string>& confidential,
                       const graph::Graph& graph);
  absl::Status CheckResults() const;
  absl::Status CheckPreprocessing() const;
  absl::Status CheckLabels() const;

  struct StageInOrder {
    std::unique_ptr<Stage> stage;
    std::vector<std::string> dead_afterwards;  // live tensors that no later stage reads
  };

  attest::ModelManifest manifest_;
  std::optional<image::Preprocessing> preprocessing_;
  Bytes preprocessing_bytes_;
  Bytes labels_;
  partition::ResolvedPlan plan_;
  attest::ResultRule results_;
  std::shared_ptr<QueryBudget> budget_;  // the sealed file's own; null for a model that was not sealed
  size_t input_bytes_ = 0;
  size_t output_bytes_ = 0;
  std::vector<StageInOrder> stages_;
  std::unique_ptr<Batcher> batcher_;  // null: each request alone
  bool is_local_ = false;
  // Handing a request to another thread costs some 40 us of a processor. Where processors are many that buys one that
  // is free, and is worth it sooner.
  mutable ServiceTime service_time_{std::chrono::microseconds(std::thread::hardware_concurrency() <= 4 ? 100 : 25)};
};

}  // namespace shoji::enclave
