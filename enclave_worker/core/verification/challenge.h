// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Freivalds' check of a linear layer (R. Freivalds, 1977; Slalom, arXiv 1806.03287, section 4), on the unmasked
// integers, over the prime field of p = 2^52 - 47 elements. With secret uniform s over output channels and secret
// position weights t(h, w) = alpha^h beta^w,
//
//   <s (x) t, a> = <ConvT(s (x) t), x'>   mod p
//
// The left side is summed while an answer is unmasked (OutputSum), the right one while the input is masked (InputSum).
// A wrong answer passes with probability at most (H + W - 1) / p for an output of H x W positions: 1/p for s to cancel
// every position, else Schwartz-Zippel on a polynomial of degree H + W - 2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "enclave_worker/core/verification/aligned_array.h"
#include "lib/quantization/check_bound.h"
#include "lib/quantization/linear_layer.h"

namespace shoji::enclave {

class Challenge;

// Implementations of the sums; all give the same values.
enum class SumIsa : uint8_t { kPortable, kAvx512 };
bool IsSupported(SumIsa isa);
SumIsa BestSumIsa();

// Sums over one layer's output and input, over any set of rows; sums of disjoint sets add up. Thread-compatible: one a
// thread, added at the end. `challenge` outlives them. Wiped.
class OutputSum {
 public:
  explicit OutputSum(const Challenge& challenge);
  void Add(const OutputSum& other);
  // Sum of s_c t a'_c over the rows added, where a' = a - lo.
  uint64_t Value() const;

  // For LayerCodec: what it accumulates into. A lane's number is low + 2^52 high; challenge_tables.h says what it
  // stands for.
  const Challenge& challenge() const { return *challenge_; }
  uint64_t* low() { return low_.data(); }
  uint64_t* high() { return high_.data(); }
  // Products of two numbers below 2^52 that fit in a lane at most.
  static constexpr size_t kMaxTerms = 2048;
  // To be called before `num_terms` (at most kMaxTerms) products are added to each lane.
  void Reserve(size_t num_terms);
  // Adds an element of the field.
  void AddValue(uint64_t value);

 private:
  const Challenge* challenge_;
  AlignedArray<uint64_t> low_;
  AlignedArray<uint64_t> high_;
  size_t num_terms_ = 0;
  uint64_t value_ = 0;
};

class InputSum {
 public:
  explicit InputSum(const Challenge& challenge, SumIsa isa = BestSumIsa());
  // One row of activations q.
  void AddRow(int64_t row, std::span<const uint8_t> q);
  void Add(const InputSum& other);
  // Sum of u q over the rows added, where u = ConvT(s (x) t).
  uint64_t Value() const;

 private:
  void AddRowPortable(size_t row, const uint8_t* q);
  void AddRowAvx512(size_t row, const uint8_t* q);
  uint64_t ValueOfAccumulators() const;
  uint64_t ValueOfRun(size_t row_class, size_t run) const;

  const Challenge* challenge_;
  SumIsa isa_;
  uint64_t value_ = 0;
  // Only with kAvx512; sum_kernels.h says what they hold.
  AlignedArray<uint64_t> lanes_;
  AlignedArray<int32_t> accumulators_;
  size_t num_positions_ = 0;
  std::vector<uint8_t> touched_;  // row classes whose accumulators hold something
};

// One draw of secrets for one layer, with everything that follows from them: weights of every position, and the
// coefficients of the input. Immutable and thread-safe. `layer` outlives it.
class Challenge {
 public:
  // From the process's private random generator. Takes as long as some inferences' checks: draw off the critical path.
  static std::unique_ptr<const Challenge> Draw(const quantization::LinearLayer& layer);
  // For tests: secrets that are known. `s` has one element of the field an output channel; alpha and beta are not 0.
  static std::unique_ptr<const Challenge> FromSecrets(const quantization::LinearLayer& layer,
                                                      std::span<const uint64_t> s, uint64_t alpha, uint64_t beta);
  Challenge(const Challenge&) = delete;
  Challenge& operator=(const Challenge&) = delete;
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
