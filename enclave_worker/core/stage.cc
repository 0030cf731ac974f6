// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/stage.h"

#include <algorithm>
#include <utility>

#include "lib/base/reason.h"

namespace shoji::enclave {

std::vector<BatchItem*> AliveOf(std::span<BatchItem> items) {
  std::vector<BatchItem*> alive;
  for (BatchItem& item : items) {
    if (item.status.ok()) {
      alive.push_back(&item);
    }
  }
  return alive;
}

std::vector<RunContext*> RunsOf(std::span<BatchItem* const> items) {
  std::vector<RunContext*> runs;
  runs.reserve(items.size());
  for (BatchItem* item : items) {
    runs.push_back(&item->run);
  }
  return runs;
}

SteadyTime LatestDeadlineOf(std::span<BatchItem* const> items) {
  SteadyTime latest = SteadyTime::min();
  for (const BatchItem* item : items) {
    latest = std::max(latest, item->run.deadline);
  }
  return latest;
}

void FailExpired(std::span<BatchItem* const> items, SteadyTime now) {
  for (BatchItem* item : items) {
    if (!item->status.ok()) {
      continue;
    }
    if (now >= item->run.deadline) {
      item->status = ErrorOf(Reason::kDeadline);
    } else if (item->run.IsCancelled()) {
      item->status = absl::CancelledError("cancelled");
    }
  }
}

void Stage::RunBatch(std::span<BatchItem> items) const {
  for (BatchItem* item : AliveOf(items)) {
    item->status = Run(item->live, item->run);
  }
}

absl::StatusOr<std::vector<const Tensor*>> FindInputs(const std::vector<partition::CrossingTensor>& wanted,
                                                      const SecretTensors& live) {
  std::vector<const Tensor*> out;
  for (const partition::CrossingTensor& input : wanted) {
    const Tensor* tensor = live.Find(input.name);
    if (tensor == nullptr || tensor->shape() != input.shape || tensor->type() != input.type) {
      return ErrorOf(Reason::kInternal);
    }
    out.push_back(tensor);
  }
  return out;
}

absl::Status PutOutputs(const std::vector<partition::CrossingTensor>& expected, std::vector<Tensor> outputs,
                        SecretTensors& live) {
  bool matches = outputs.size() == expected.size();
  for (size_t i = 0; matches && i < outputs.size(); ++i) {
    matches = outputs[i].type() == expected[i].type && outputs[i].shape() == expected[i].shape;
  }
  if (!matches) {
    for (Tensor& output : outputs) {
      output.Wipe();
    }
    return ErrorOf(Reason::kInternal);
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    live.Put(expected[i].name, std::move(outputs[i]));
  }
  return absl::OkStatus();
}

}  // namespace shoji::enclave
