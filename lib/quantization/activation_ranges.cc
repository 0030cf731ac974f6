// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/activation_ranges.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace shoji::quantization {
namespace {

constexpr double kSteps = 255;

}  // namespace

QuantizationParameters ParametersOf(const Range& range) {
  const double min = std::min(static_cast<double>(range.min), 0.0);
  const double max = std::max(static_cast<double>(range.max), 0.0);
  const auto scale = static_cast<float>((max - min) / kSteps);
  if (scale < std::numeric_limits<float>::min()) {  // no width, or one that a normal float cannot hold
    return {};
  }
  const double zero_point = std::nearbyint(-min / static_cast<double>(scale));
  return {scale, static_cast<uint8_t>(std::min(std::max(zero_point, 0.0), kSteps))};
}

Bytes CanonicalEncoding(const ActivationRanges& ranges) {
  Bytes out;
  for (const auto& [name, range] : ranges) {
    AppendLengthPrefixed(out, name);
    AppendUint32(out, std::bit_cast<uint32_t>(range.min));
    AppendUint32(out, std::bit_cast<uint32_t>(range.max));
  }
  return out;
}

absl::Status Validate(const ActivationRanges& ranges) {
  for (const auto& [name, range] : ranges) {
    if (!std::isfinite(range.min) || !std::isfinite(range.max) || range.min > range.max) {
      return absl::InvalidArgumentError("the range of " + name + " is [" + std::to_string(range.min) + ", " +
                                        std::to_string(range.max) + "]; it must be finite and not upside down");
    }
  }
  return absl::OkStatus();
}

}  // namespace shoji::quantization
