// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a fully blinded and verified inference costs inside the enclave: mask, unmask, check (both sums), requantize,
// ReLU and max-pool for every linear layer, row by row as the executor does it, on one thread. Answers are honest and
// every check must pass. Each layer has an answer, a pad and a masked input of its own, as in an inference, so that
// what is read and written comes from and goes to memory, not one hot cache line.
//
// Not in it: what stands between linear layers besides ReLU and max pooling (residual additions, average pooling), and
// moving messages.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/network_shapes.h"

namespace shoji::bench {

class EnclaveSide {
 public:
  // Draws weights, pads and challenges, and computes the accelerator's answers. Takes seconds.
  static absl::StatusOr<std::unique_ptr<EnclaveSide>> Create(const Network& network);
  EnclaveSide() = default;
  EnclaveSide(const EnclaveSide&) = delete;
  EnclaveSide& operator=(const EnclaveSide&) = delete;
  virtual ~EnclaveSide() = default;

  // One inference; milliseconds of this thread's CPU time. INTERNAL names the first layer whose check fails.
  virtual absl::StatusOr<double> Run() = 0;

  // Draws r for every layer of one pad, as the pool does before it computes W * r; likewise.
  virtual double DrawPad() = 0;

  // Of the pads of one inference (W * r as words), and of both directions' messages.
  virtual size_t pad_bytes() const = 0;
  virtual size_t message_bytes() const = 0;
  // Milliseconds that drawing one challenge for every layer took.
  virtual double challenge_millis() const = 0;
};

}  // namespace shoji::bench
