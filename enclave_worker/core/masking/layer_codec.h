// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The enclave's side of one offloaded linear layer, row by row: what goes out, what comes back, and the check between
// them. A row of the answer is read once: unmasked, summed for the check, requantized and written as activations, while
// it lies in registers. enclave_worker/core/inference strings rows and layers together, so that the rows that one layer
// makes are pooled and masked for the next while they lie in cache.
//
// Branch-free on data; AVX-512 and portable code give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "enclave_worker/core/masking/pad_key.h"
#include "enclave_worker/core/verification/challenge.h"
#include "lib/kernels/ring/linear.h"
#include "lib/quantization/linear_layer.h"

namespace shoji::enclave {

namespace row_kernels {
struct RowToUnmask;
}

enum class CodecIsa : uint8_t { kPortable, kAvx512 };
bool IsSupported(CodecIsa isa);
CodecIsa BestCodecIsa();

// Constant data of one layer: per-channel vectors, layouts. Immutable and thread-safe. `layer` outlives it.
class LayerCodec {
 public:
  LayerCodec(const quantization::LinearLayer& layer, CodecIsa isa);
  LayerCodec(const LayerCodec&) = delete;
  LayerCodec& operator=(const LayerCodec&) = delete;
  ~LayerCodec();

  const quantization::LinearLayer& layer() const { return layer_; }

  // Row `row` of the masked input: limbs of (q - z) + r mod 2^k, r from `key` under layer number `index`. `q` is that
  // row of activations; `out` has LimbRowBytes(geometry, WordBytes(ring)).
  void MaskRow(const PadKey& key, uint64_t index, int64_t row, std::span<const uint8_t> q,
               std::span<uint8_t> out) const;
  // Row `row` of r alone, as limbs: what makes the pad, and the other operator's share.
  void RandomRow(const PadKey& key, uint64_t index, int64_t row, std::span<uint8_t> out) const;
  // Row of the input in the clear (placement `verified`): one limb, the bytes q; all padding is zero, whatever `q` has
  // there.
  void ClearRow(std::span<const uint8_t> q, std::span<uint8_t> out) const;

  // What is subtracted from an answer to unmask it: the words of W * r (a pad, or the other operator's answer), or,
  // where the input went out in the clear, z * (sum of the channel's weights), which the codec knows.
  struct UnmaskInput {
    std::span<const uint8_t> words;      // one row of the answer: hostile, read once
    std::span<const uint8_t> pad_words;  // one row of W * r; empty: the input went out in the clear
  };
  // One row: a = lift(words - pad) of every value; adds it to `check` (null: not verified) and writes the row of
  // activations (quantized output), or float32 values [width][out channels] (float output; unpadded).
  void UnmaskRow(const UnmaskInput& in, int64_t row, OutputSum* check, std::span<uint8_t> q) const;
  void UnmaskRow(const UnmaskInput& in, int64_t row, OutputSum* check, std::span<float> out) const;

 private:
  struct Constants;
  void Unmask(const UnmaskInput& in, int64_t row, OutputSum* check, uint8_t* q, float* y) const;
  // `position`: the number of the part's first position in the output; num_terms: as OutputSum::Reserve.
  void UnmaskPart(row_kernels::RowToUnmask& part, OutputSum* check, size_t position, size_t num_terms) const;

  const quantization::LinearLayer& layer_;
  const CodecIsa isa_;
  const std::unique_ptr<const Constants> constants_;
};

// out[w][c] = max over the window rows and columns, of activation rows as in lib/kernels/ring/layout.h. `rows` are the
// input rows of the window that exist, in order; each of input width `pool.input[1]`.
void MaxPoolRow(const kernels::PoolGeometry& pool, std::span<const std::span<const uint8_t>> rows,
                std::span<uint8_t> out, CodecIsa isa);

}  // namespace shoji::enclave
