// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/verification/axis_classes.h"

#include <map>

#include "lib/base/check.h"

namespace shoji::enclave {
namespace {

std::vector<Tap> TapsOf(const kernels::ConvGeometry& geometry, size_t axis, int64_t position) {
  const kernels::Window& window = geometry.window;
  const int64_t stride = window.strides[axis];
  std::vector<Tap> taps;
  for (int64_t k = 0; k < window.kernel[axis]; ++k) {
    const int64_t at = position + window.pads[axis] - k * window.dilations[axis];
    if (at >= 0 && at % stride == 0 && at / stride < geometry.output[axis]) {
      taps.push_back({.kernel = k, .exponent = at / stride - position / stride});
    }
  }
  return taps;
}

}  // namespace

AxisClasses ClassifyAxis(const kernels::ConvGeometry& geometry, size_t axis) {
  AxisClasses out;
  std::map<std::vector<Tap>, uint32_t> known;
  std::map<uint32_t, size_t> run_of;
  for (int64_t i = 0; i < geometry.input[axis]; ++i) {
    std::vector<Tap> taps = TapsOf(geometry, axis, i);
    const auto [entry, is_new] = known.try_emplace(taps, static_cast<uint32_t>(out.taps.size()));
    const uint32_t index = entry->second;
    out.class_of.push_back(index);
    if (is_new) {
      out.taps.push_back(std::move(taps));
      if (!out.taps.back().empty()) {
        run_of[index] = out.runs.size();
        out.runs.push_back({.class_index = index, .first = i, .step = geometry.window.strides[axis], .count = 0});
      }
    }
    if (const auto run = run_of.find(index); run != run_of.end()) {
      ClassRun& r = out.runs[run->second];
      SHOJI_CHECK(i == r.first + r.count * r.step);
      ++r.count;
    }
  }
  return out;
}

}  // namespace shoji::enclave
