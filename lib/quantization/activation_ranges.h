// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The calibrated range of every activation of a model: fixed numbers beside the model's file, never taken from the
// input at hand. lib/ranges_file reads and writes them as YAML.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/bytes.h"

namespace shoji::quantization {

struct Range {
  float min = 0;
  float max = 0;
  // One a channel of the value's byte form, each in (0, 1]: the channel's range is this part of [min, max]. Layers that
  // read the value take them into their weights. Empty: 1 for all.
  std::vector<float> scales = {};
  // One an output channel of the linear layer that makes the value: what is added to its bias, since rounding shifts
  // what the layer gives on average. Empty: 0 for all.
  std::vector<float> correction = {};
  // One a weight of that layer, in the order of its int8 form (linear_layer.h): -1, 0 or 1, what is added to the integer
  // nearest to the weight. Empty: 0 for all.
  std::vector<int8_t> rounding = {};
  bool operator==(const Range&) const = default;
};

// Value name -> range, of float32 values that are no constants. Names are those of the graph as imported.
using ActivationRanges = std::map<std::string, Range>;

// How bytes stand for real numbers: real = scale * (q - zero_point), q in [0, 255].
struct QuantizationParameters {
  float scale = 1;
  uint8_t zero_point = 0;
  bool operator==(const QuantizationParameters&) const = default;
};

// Widens `range` so that it holds 0 (0 must be exact: padding), and gives the parameters that spread it over 255 steps.
// A range of zero width gives scale 1. Requires finite numbers with min <= max.
QuantizationParameters ParametersOf(const Range& range);

// The bytes that the manifest's calibration digest is over: for each entry in the map's order
// text(name) u32(bits of min) u32(bits of max); text = u32(length) then the bytes; big-endian. Then for each entry that
// has more: u32(2^32 - 1) text(name) floats(scales) floats(correction) text(rounding); floats = u32(count), then u32(bits)
// each; rounding as bytes.
Bytes CanonicalEncoding(const ActivationRanges& ranges);

// INVALID_ARGUMENT names the first value whose range is not finite or upside down, or whose scales are not in (0, 1], and so
// on.
absl::Status Validate(const ActivationRanges& ranges);

}  // namespace shoji::quantization
