// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <vector>

#include "lib/kernels/activation.h"

namespace shoji::kernels::onednn {

// What a primitive does to each element of its result before it stores it.
struct PostOps {
  enum class Residual : uint8_t {
    kNone,
    kAddToOutput,  // the output memory holds a tensor that the result is added to
  };
  Residual residual = Residual::kNone;
  std::vector<Activation> activations;  // then these, in order

  bool empty() const { return residual == Residual::kNone && activations.empty(); }
};

}  // namespace shoji::kernels::onednn
