// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The peer that the ring kernels are measured against: one linear layer with oneDNN, everything but the layer itself
// done beforehand.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/kernels/geometry.h"

namespace shoji::bench {

// One thread. Thread-compatible.
class OneDnnLayer {
 public:
  // `weights` as floats, with the primitives of lib/kernels/onednn.
  static absl::StatusOr<std::unique_ptr<OneDnnLayer>> CreateFloat32(const kernels::ConvGeometry& geometry,
                                                                    const std::vector<int8_t>& weights);
  // u8 * s8 -> s32. Its results are not always exact (lib/kernels/ring/self_test.cc); its speed is the question here.
  static absl::StatusOr<std::unique_ptr<OneDnnLayer>> CreateInt8(const kernels::ConvGeometry& geometry,
                                                                 const std::vector<int8_t>& weights);
  virtual ~OneDnnLayer() = default;

  virtual const std::string& implementation() const = 0;
  virtual void Run() = 0;
};

}  // namespace shoji::bench
