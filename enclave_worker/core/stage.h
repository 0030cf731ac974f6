// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// One stretch of a model that runs in one way. A model is a list of them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "enclave_worker/core/model_counts.h"
#include "enclave_worker/core/run_context.h"
#include "enclave_worker/core/secret_tensors.h"
#include "lib/partition/plan.h"
#include "lib/tensor/tensor.h"

namespace shoji::enclave {

// One request of a batch.
struct BatchItem {
  SecretTensors& live;
  RunContext& run;
  absl::Status status;  // not OK: it has failed and takes no further part
};

// Those of `items` that have not failed.
std::vector<BatchItem*> AliveOf(std::span<BatchItem> items);
std::vector<RunContext*> RunsOf(std::span<BatchItem* const> items);
SteadyTime LatestDeadlineOf(std::span<BatchItem* const> items);
// DEADLINE for those whose deadline has come, CANCELLED for those whose caller has gone.
void FailExpired(std::span<BatchItem* const> items, SteadyTime now);

// Immutable once made. Thread-safe: any number of runs at the same time.
class Stage {
 public:
  Stage() = default;
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  virtual ~Stage() = default;

  // Reads its inputs from `live` and puts its outputs there. Errors carry a Reason.
  virtual absl::Status Run(SecretTensors& live, RunContext& run) const = 0;
  // Run for every item that has not failed, with the outputs that each would have alone, and the same errors: what
  // becomes of one depends on no other's tensors. Here: one after the other.
  virtual void RunBatch(std::span<BatchItem> items) const;
  // The reason why a run started now would fail; empty: none known.
  virtual std::string NotReadyBecause() const { return ""; }
  // Adds what it has counted.
  virtual void AddCounts(ModelCounts& /*counts*/) const {}
  // The live tensors that it reads.
  virtual const std::vector<partition::CrossingTensor>& inputs() const = 0;
};

// The tensors of `wanted`, in order; INTERNAL when one is missing or of another form than the plan says.
absl::StatusOr<std::vector<const Tensor*>> FindInputs(const std::vector<partition::CrossingTensor>& wanted,
                                                      const SecretTensors& live);

// Puts what a stage made under the names of `expected`, once its form is exactly that; else wipes it, INTERNAL.
// `outputs` may come from an accelerator.
absl::Status PutOutputs(const std::vector<partition::CrossingTensor>& expected, std::vector<Tensor> outputs,
                        SecretTensors& live);

}  // namespace shoji::enclave
