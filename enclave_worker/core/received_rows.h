// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "enclave_worker/core/masking/layer_codec.h"
#include "enclave_worker/core/verification/challenge.h"
#include "lib/base/bytes.h"
#include "lib/quantization/program.h"

namespace shoji::enclave {

// An accelerator's answer for one layer on its way into the frame: rows are unmasked, added to the checks, requantized
// and max-pooled, and handed on while they lie in cache. Thread-safe for disjoint bands of rows.
class ReceivedRows {
 public:
  // A finished row of the step's output, for the next layer's message.
  using OnRow = std::function<void(int64_t row, std::span<const uint8_t> values)>;

  // All arguments outlive it. `pad_words`: empty where the input went out in the clear. A float output is ordered
  // [height][width][padded channels].
  ReceivedRows(const quantization::LinearStep& step, const LayerCodec& codec, ByteSpan words, ByteSpan pad_words,
               quantization::Frame& frame);

  // Rows of the step's output: pooled ones where it pools.
  int64_t num_rows() const;
  size_t values_per_row() const;

  // Makes output rows [begin, end), which is one of the bands of a partition of all rows. `checks` get exactly the rows
  // of the answer that are this band's, so that those of all bands together are those of the answer.
  void Receive(int64_t begin, int64_t end, std::span<OutputSum> checks, const OnRow& on_row) const;

 private:
  template <typename Value>
  void Unmask(int64_t row, std::span<OutputSum> checks, std::span<Value> out) const;
  void ReceivePooled(int64_t begin, int64_t end, std::span<OutputSum> checks, const OnRow& on_row) const;
  void ReceiveFloats(int64_t begin, int64_t end, std::span<OutputSum> checks) const;

  const quantization::LinearStep& step_;
  const LayerCodec& codec_;
  const ByteSpan words_;
  const ByteSpan pad_words_;
  quantization::Frame& frame_;
  const size_t word_row_bytes_;
  const size_t layer_row_bytes_;  // of activations, before pooling
};

}  // namespace shoji::enclave
