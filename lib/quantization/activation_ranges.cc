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
// In place of a name's length: no name is that long.
constexpr uint32_t kChannelData = UINT32_MAX;

void AppendFloats(Bytes& out, const std::vector<float>& values) {
  AppendUint32(out, static_cast<uint32_t>(values.size()));
  for (const float value : values) {
    AppendUint32(out, std::bit_cast<uint32_t>(value));
  }
}

bool IsScale(float value) { return value >= std::numeric_limits<float>::min() && value <= 1; }

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
  for (const auto& [name, range] : ranges) {
    if (!range.scales.empty() || !range.correction.empty() || !range.rounding.empty()) {
      AppendUint32(out, kChannelData);
      AppendLengthPrefixed(out, name);
      AppendFloats(out, range.scales);
      AppendFloats(out, range.correction);
      AppendLengthPrefixed(out, ByteSpan(reinterpret_cast<const uint8_t*>(range.rounding.data()), range.rounding.size()));
    }
  }
  return out;
}

absl::Status Validate(const ActivationRanges& ranges) {
  for (const auto& [name, range] : ranges) {
    if (!std::isfinite(range.min) || !std::isfinite(range.max) || range.min > range.max) {
      return absl::InvalidArgumentError("the range of " + name + " is [" + std::to_string(range.min) + ", " +
                                        std::to_string(range.max) + "]; it must be finite and not upside down");
    }
    if (!std::all_of(range.scales.begin(), range.scales.end(), IsScale)) {
      return absl::InvalidArgumentError("the scales of " + name + " must be above 0 and at most 1");
    }
    if (!std::all_of(range.correction.begin(), range.correction.end(), [](float v) { return std::isfinite(v); })) {
      return absl::InvalidArgumentError("the correction of " + name + " must be finite");
    }
    if (!std::all_of(range.rounding.begin(), range.rounding.end(), [](int8_t v) { return v >= -1 && v <= 1; })) {
      return absl::InvalidArgumentError("the rounding of " + name + " must be -1, 0 or 1");
    }
  }
  return absl::OkStatus();
}

}  // namespace shoji::quantization
