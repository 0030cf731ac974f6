// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How the 8 bits of a value are shared among its channels. A channel that spans less than others may be given smaller
// steps: then its weights in the layers that read it become smaller too, and are rounded more coarsely beside those of
// the other channels. (In a depthwise layer every weight has its channel's scale: nothing is lost.) Private to this
// folder and its tests.
#pragma once

#include <cstddef>
#include <vector>

#include "lib/quantization/activation_ranges.h"
#include "lib/quantization/channel_histogram.h"
#include "lib/quantization/linear_node.h"

namespace shoji::quantization {

// A layer that reads the value, or some of its channels: those from `channel` on.
struct ChannelReader {
  LinearNode layer;
  size_t channel = 0;
};

// The range with scales under which `readers` give the least error, as a part of what they give, both from rounding the
// value and from rounding their weights. `num_others`: how many operators read the value as it is, for example to add
// it to another. `plain` is the best range without scales, which it is measured against.
Range WithScales(const Range& plain, const ChannelHistograms& histograms, const std::vector<ChannelReader>& readers,
                 size_t num_others);

}  // namespace shoji::quantization
