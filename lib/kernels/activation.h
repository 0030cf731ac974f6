// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>

namespace shoji::kernels {

// A function of one element.
struct Activation {
  enum class Kind : uint8_t {
    kRelu,         // max(x, 0)
    kLeakyRelu,    // x < 0 ? alpha * x : x
    kSigmoid,      // 1 / (1 + exp(-x))
    kHardSigmoid,  // clamp(alpha * x + beta, 0, 1)
    kHardSwish,    // x * clamp(x / 6 + 1/2, 0, 1)
    kTanh,
    kClip,   // min(max(x, alpha), beta)
    kSwish,  // x / (1 + exp(-x))
  };
  Kind kind = Kind::kRelu;
  float alpha = 0;
  float beta = 0;
};

enum class BinaryKind : uint8_t { kAdd, kSub, kMul, kDiv };

}  // namespace shoji::kernels
