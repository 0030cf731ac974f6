// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// One masked layer from mask to activations, with an accelerator of plain loops in the middle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "enclave_worker/core/masking/layer_codec.h"
#include "tests/unit/enclave_worker/core/verification/random_layer.h"

namespace shoji::enclave {

PadKey TestKey(uint8_t fill, KeystreamKind kind = BestKeystream());
std::vector<CodecIsa> CodecIsas();
std::vector<KeystreamKind> KeystreamKinds();

// All rows of the masked input, and of the pad, as limbs.
std::vector<uint8_t> MaskAll(const LayerCodec& codec, const PadKey& key, uint64_t index, std::span<const uint8_t> q);
std::vector<uint8_t> RandomAll(const LayerCodec& codec, const PadKey& key, uint64_t index);
// The ring element at a position of limbs.
uint32_t ElementAt(const quantization::LinearLayer& layer, std::span<const uint8_t> limbs, int64_t channel, int64_t row,
                   int64_t column);

// What an honest accelerator answers: W * u as words. `clear` takes activations, with the zero point as padding.
std::vector<uint8_t> Answer(const quantization::LinearLayer& layer, std::span<const uint8_t> limbs);
std::vector<uint8_t> AnswerInClear(const quantization::LinearLayer& layer, std::span<const uint8_t> q);

// An answer unmasked: the activations or the floats, and the sum for the check.
struct Unmasked {
  std::vector<uint8_t> q;
  std::vector<float> y;
};
// `pad`: W * r, or empty. Adds to `check` unless null.
Unmasked UnmaskAll(const LayerCodec& codec, std::span<const uint8_t> words, std::span<const uint8_t> pad,
                   OutputSum* check);

// The definition of lib/quantization/linear_layer.h, by itself, of accumulators as Accumulators returns them.
Unmasked Requantized(const quantization::LinearLayer& layer, const std::vector<int64_t>& accumulators);
// The same activations, whatever is in the padding channels.
bool SameActivations(const quantization::LinearLayer& layer, const Unmasked& a, const Unmasked& b);

InputSum SumOfInput(const Challenge& challenge, std::span<const uint8_t> q);

}  // namespace shoji::enclave
