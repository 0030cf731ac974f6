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
    kClip,             // min(max(x, alpha), beta)
    kSwish,            // x / (1 + exp(-x))
    kElu,              // x < 0 ? alpha * (exp(x) - 1) : x
    kSelu,             // beta * (x < 0 ? alpha * (exp(x) - 1) : x)
    kThresholdedRelu,  // x > alpha ? x : 0
    kSoftplus,         // log(1 + exp(x))
    kSoftsign,         // x / (1 + |x|)
    kErf,
    kAbs,
    kNeg,
    kExp,
    kLog,
    kSqrt,
    kReciprocal,
    kFloor,
    kCeil,
    kRound,  // half to even
    kSign,
  };
  Kind kind = Kind::kRelu;
  float alpha = 0;
  float beta = 0;
};

enum class BinaryKind : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMax,
  kMin,
  kPow,
  kPRelu,  // a < 0 ? b * a : a
};

}  // namespace shoji::kernels
