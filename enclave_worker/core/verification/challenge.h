// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Freivalds' check of a linear layer (R. Freivalds, 1977; Slalom, arXiv 1806.03287, section 4), on the unmasked integers,
// over the prime field of p = 2^52 - 47 elements. With secret uniform s over output channels and secret position weights
// t(h, w) = alpha^h beta^w,
//
//   <s (x) t, a> = <ConvT(s (x) t), x'>   mod p
//
// The left side is summed while an answer is unmasked (OutputSum), the right one while the input is masked (InputSum). A
// wrong answer passes with probability at most (H + W - 1) / p for an output of H x W positions: 1/p for s to
// cancel every position, else Schwartz-Zippel on a polynomial of degree H + W - 2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lib/quantization/check_bound.h"
#include "lib/quantization/linear_layer.h"

namespace shoji::enclave {

class Challenge;

// Sums over one layer's output and input, over any set of rows; sums of disjoint sets add up. Thread-compatible: one a
// thread, added at the end. `challenge` outlives them.
class OutputSum {
 public:
  explicit OutputSum(const Challenge& challenge);
  void Add(const OutputSum& other);
  // For LayerCodec: what it accumulates into.
  const Challenge& challenge() const { return *challenge_; }
  std::span<uint64_t> low() { return low_; }
  std::span<uint64_t> high() { return high_; }
  void NormalizeAfter(size_t num_terms);
  uint64_t Value() const;

 private:
  const Challenge* challenge_;
  std::vector<uint64_t> low_;
  std::vector<uint64_t> high_;
};

class InputSum {
 public:
  explicit InputSum(const Challenge& challenge);
  // One row of activations q.
  void AddRow(int64_t row, std::span<const uint8_t> q);
  void Add(const InputSum& other);
  uint64_t Value() const;

 private:
  const Challenge* challenge_;
  std::vector<uint64_t> low_;
  std::vector<uint64_t> high_;
};

// One draw of secrets for one layer, with everything that follows from them: weights of every position, and the
// coefficients of the input. Immutable and thread-safe. `layer` outlives it.
class Challenge {
 public:
  // From the process's private random generator. Takes as long as some inferences' checks: draw off the critical path.
  static std::unique_ptr<const Challenge> Draw(const quantization::LinearLayer& layer);
  ~Challenge();

  // Whether the two sums agree. Both are over all rows.
  bool Verify(const OutputSum& output, const InputSum& input) const;

  struct Tables;
  const Tables& tables() const { return *tables_; }
  const quantization::LinearLayer& layer() const { return layer_; }

 private:
  explicit Challenge(const quantization::LinearLayer& layer);
  const quantization::LinearLayer& layer_;
  std::unique_ptr<Tables> tables_;
};

}  // namespace shoji::enclave
