// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Runs planned open segments on this host: the index arithmetic of the device's kernels, one thread after the other.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gpu_worker/cuda/open_plan.h"
#include "lib/tensor/tensor.h"

namespace shoji::accelerator::open_segment {

// Thread-compatible. `plan` outlives it.
class HostMachine {
 public:
  explicit HostMachine(const OpenPlan& plan);

  // The arena holds not-a-numbers before the run, so that what nobody wrote shows.
  std::vector<Tensor> Run(std::span<const Tensor> inputs);

 private:
  const OpenPlan& plan_;
  std::vector<float> constants_;
  std::vector<float> arena_;
};

}  // namespace shoji::accelerator::open_segment
