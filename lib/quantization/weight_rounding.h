// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Rounding the weights of a layer together. What a weight is off by after rounding is made good for by those that are
// rounded after it, as far as their inputs vary with its own over the calibration examples (Frantar et al., "GPTQ",
// 2022; here in blocks, and on the deviations from the mean, which the bias takes care of). Private to this folder and
// its tests.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/quantization/layer_statistics.h"
#include "lib/quantization/linear_node.h"

namespace shoji::quantization {

// For each weight of `layer` in its int8 form, what is added to the integer nearest to it: -1, 0 or 1. `input`: what the
// bytes of the layer's input mean.
std::vector<int8_t> RoundWeights(const LinearNode& layer, const ByteTensor& input, const LayerStatistics& statistics);

}  // namespace shoji::quantization
