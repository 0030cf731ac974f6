// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/backend.h"

#include <iterator>
#include <utility>

#include "lib/base/status_macros.h"

namespace shoji::accelerator {

absl::StatusOr<std::vector<Tensor>> Model::RunBatch(std::vector<Tensor> inputs, size_t batch, const StopCheck& stop) {
  const size_t each = inputs.size() / batch;
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < batch; ++i) {
    std::vector<Tensor> own;
    for (size_t k = 0; k < each; ++k) {
      own.push_back(std::move(inputs[i * each + k]));
    }
    ASSIGN_OR_RETURN(std::vector<Tensor> made, Run(std::move(own), stop));
    outputs.insert(outputs.end(), std::make_move_iterator(made.begin()), std::make_move_iterator(made.end()));
  }
  return outputs;
}

absl::Status LinearModel::RunBatch(std::span<const BatchRun> runs, const StopCheck& stop) {
  for (const BatchRun& run : runs) {
    RETURN_IF_ERROR(Run(run.limbs, run.words, stop));
  }
  return absl::OkStatus();
}

}  // namespace shoji::accelerator
